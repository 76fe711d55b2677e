"""What each token of a response is credited with: pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def discounted(rewards: Tensor, values: Tensor, *, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Advantages and returns of one response, [r] each, by generalised advantage estimation.

    Equation 16 of Schulman et al. 2015 (arXiv:1506.02438); nothing is earned after the last token.
    """
    advantages = torch.zeros_like(values)
    ahead = values.new_zeros(())
    for place in range(len(values) - 1, -1, -1):
        coming = values[place + 1] if place + 1 < len(values) else values.new_zeros(())
        ahead = rewards[place] + gamma * coming - values[place] + gamma * lam * ahead
        advantages[place] = ahead
    return advantages, advantages + values


def at_the_end(reward: float, values: Tensor) -> Tensor:
    """[r] rewards of a response that is rewarded as a whole."""
    rewards = torch.zeros_like(values)
    rewards[-1:] = reward
    return rewards


def whitened(advantages: list[Tensor], everywhere: Tensor) -> list[Tensor]:
    """The advantages, shifted and scaled as those of all replicas' learning tokens get mean 0 and variance 1."""
    if len(everywhere) < 2:
        return advantages
    mean, deviation = everywhere.mean(), everywhere.std() + 1e-6
    return [(row - mean) / deviation for row in advantages]


def towards_teacher(teacher: Tensor, student: Tensor) -> Tensor:
    """[r]: how much likelier each token is to the teacher; its mean is the reverse KL, negated.

    On-policy distillation (Agarwal et al. 2023, arXiv:2306.13649) as a policy gradient, one sample a token.
    """
    return teacher - student
