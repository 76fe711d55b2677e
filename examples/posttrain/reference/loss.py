"""What is minimised, for one response at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Vector = torch.Tensor


def clipped(ratio: Vector, low: float, high: float) -> Vector:
    """The ratio within [1 - low, 1 + high] (Schulman et al. 2017; the two bounds apart: Yu et al. 2025, DAPO)."""
    return torch.stack([min(max(one, one.new_tensor(1 - low)), one.new_tensor(1 + high)) for one in ratio])


def surrogate(new: Vector, old: Vector, advantages: Vector, low: float, high: float) -> Vector:
    """Minus the clipped objective of PPO for each token: -min(rho A, clip(rho) A), rho = pi_new / pi_old."""
    ratio = (new - old).exp()
    bounded = clipped(ratio, low, high)
    return torch.stack(
        [-min(r * a, b * a) for r, b, a in zip(ratio, bounded, advantages, strict=True)],
    )


def is_clipped(new: Vector, old: Vector, advantages: Vector, low: float, high: float) -> Vector:
    """1 where the bound takes the gradient away: above it with a gain, below it with a loss."""
    return torch.stack(
        [
            r.new_tensor(float((a > 0 and r > 1 + high) or (a < 0 and r < 1 - low)))
            for r, a in zip((new - old).exp(), advantages, strict=True)
        ]
    )


def importance(old: Vector, rollout: Vector, largest: float) -> Vector:
    """Truncated importance sampling: min(pi_old / pi_rollout, C), through which no gradient flows.

    Yao et al. 2025 (truncated importance sampling between an inference engine and a trainer).
    """
    weight = (old - rollout).exp()
    return torch.stack([min(one, one.new_tensor(largest)) for one in weight]).detach()


def value_loss(values: Vector, old: Vector, returns: Vector, clip: float) -> Vector:
    """Half the larger of two squared errors: of the value, and of the value no further than ``clip`` from before.

    Schulman et al. 2017 as OpenAI baselines have it (Huang et al. 2022, detail 9).
    """
    near = torch.stack(
        [min(max(v, o - clip), o + clip) for v, o in zip(values, old, strict=True)],
    )
    return torch.stack(
        [0.5 * max((v - r) ** 2, (n - r) ** 2) for v, n, r in zip(values, near, returns, strict=True)]
    )


def mean(losses: Sequence[Vector], learns: Sequence[Vector], per_token: bool) -> torch.Tensor:
    """GRPO: the mean over responses of each one's own mean; DAPO: the mean over all tokens of all responses.

    ``learns`` holds 1 for each token that counts. A response of which none counts is one of the responses, with 0.
    """
    sums = [(loss * mask).sum() for loss, mask in zip(losses, learns, strict=True)]
    counts = [int(mask.sum()) for mask in learns]
    if per_token:
        return sum(sums[1:], sums[0]) / sum(counts)
    means = [total / count if count else total * 0 for total, count in zip(sums, counts, strict=True)]
    return sum(means[1:], means[0]) / len(means)
