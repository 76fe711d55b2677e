"""What each token of a response is credited with."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Vector = torch.Tensor


def group_advantages(rewards: Sequence[float], groups: Sequence[int], correction: int) -> list[float]:
    """GRPO: a reward's distance from the mean of its group, in standard deviations of that group.

    Shao et al. 2024 (DeepSeekMath), section 4.1.2, which leaves open whether the standard deviation divides by n or
    by n - 1: ``correction`` is what it takes off. A group whose rewards are all equal teaches nothing.
    """
    result = []
    for reward, group in zip(rewards, groups, strict=True):
        members = [r for r, g in zip(rewards, groups, strict=True) if g == group]
        mean = sum(members) / len(members)
        if min(members) == max(members):
            result.append(0.0)
            continue
        variance = sum((member - mean) ** 2 for member in members) / (len(members) - correction)
        result.append((reward - mean) / variance**0.5)
    return result


def gae(reward: float, values: Vector, gamma: float, lam: float) -> tuple[Vector, Vector]:
    """Advantages and returns of one response that earns ``reward`` with its last token.

    Schulman et al. 2016, equation 16: A_t = sum over l of (gamma lambda)^l delta_{t+l}, where
    delta_t = r_t + gamma V_{t+1} - V_t, and V is 0 after the end. The return is A_t + V_t.
    """
    length = len(values)
    delta = [
        (reward if t == length - 1 else 0.0) + (gamma * values[t + 1] if t + 1 < length else 0.0) - values[t]
        for t in range(length)
    ]
    advantages = torch.stack(
        [sum((gamma * lam) ** (later - t) * delta[later] for later in range(t, length)) for t in range(length)]
    )
    return advantages, advantages + values


def whiten(advantages: Sequence[Vector], learns: Sequence[Vector], correction: int) -> list[Vector]:
    """Shifted and scaled so that all tokens of the whole batch that learn have mean 0 and variance 1.

    Huang et al. 2022, detail 7, which has no masks; ``correction`` as above.
    """
    together = torch.cat([one[mask > 0] for one, mask in zip(advantages, learns, strict=True)])
    mean = together.sum() / len(together)
    deviation = (((together - mean) ** 2).sum() / (len(together) - correction)).sqrt()
    return [(one - mean) / deviation for one in advantages]


def distillation(student: Vector, teacher: Vector) -> Vector:
    """On-policy distillation: a token's credit is minus its own term of the reverse KL(student || teacher).

    Agarwal et al. 2024, with the expectation taken over the tokens that the student sampled.
    """
    return teacher - student
