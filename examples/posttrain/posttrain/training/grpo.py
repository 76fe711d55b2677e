"""The mathematics of GRPO: pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def group_advantages(rewards: Tensor, groups: Tensor) -> Tensor:
    """Rewards normalised within each group of samples of one prompt, numbers and shape [B] each → [B].

    (r - mean) / (std + 1e-6), as equation 3 of DeepSeekMath (Shao et al. 2024, arXiv:2402.03300); a group
    of equal rewards teaches nothing and gets zeros.
    """
    advantages = torch.zeros_like(rewards)
    for group in groups.unique():
        own = rewards[groups == group]
        advantages[groups == group] = (own - own.mean()) / (own.std(correction=0) + 1e-6)
    return advantages


def token_log_probs(logits: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """Log-probability of each token under ``logits / temperature``: [..., V] and [...] → [...]."""
    log_probs = torch.log_softmax(logits.float() / temperature, dim=-1)
    return log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def clip_loss(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, *, clip_low: float, clip_high: float
) -> tuple[Tensor, Tensor]:
    """PPO's clipped surrogate of each token, -min(r·A, clip(r)·A), and 1 where the clip holds it back.

    Equation 7 of Schulman et al. 2017 (arXiv:1707.06347), with the two bounds apart as in DAPO
    (arXiv:2503.14476). All have one shape.
    """
    ratio = torch.exp(log_probs - old_log_probs)
    free = ratio * advantages
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
    return -torch.minimum(free, clipped), (clipped < free).float()
