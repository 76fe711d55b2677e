"""The mathematics of GRPO: pure functions of tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def group_advantages(rewards: Tensor, group_size: int) -> Tensor:
    """Rewards normalised within each group of samples of one prompt, shape [B] → [B].

    (r - mean) / (std + 1e-6), as equation 3 of DeepSeekMath (Shao et al. 2024, arXiv:2402.03300); a group
    of equal rewards teaches nothing and gets zeros.
    """
    groups = rewards.view(-1, group_size)
    centred = groups - groups.mean(dim=1, keepdim=True)
    return (centred / (groups.std(dim=1, keepdim=True, correction=0) + 1e-6)).view(-1)


def token_log_probs(logits: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """Log-probability of each token under ``logits / temperature``: [..., V] and [...] → [...]."""
    log_probs = torch.log_softmax(logits.float() / temperature, dim=-1)
    return log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True)
class ClipLoss:
    """``total`` is summed over tokens; ``clipped`` counts the tokens whose ratio was clipped."""

    total: Tensor
    clipped: Tensor


def clip_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_low: float,
    clip_high: float,
) -> ClipLoss:
    """PPO's clipped surrogate, -min(r·A, clip(r)·A), over the tokens where ``mask`` is 1.

    Equation 7 of Schulman et al. 2017 (arXiv:1707.06347), with the two bounds apart as in DAPO
    (arXiv:2503.14476). All four are [B, C].
    """
    ratio = torch.exp(log_probs - old_log_probs)
    free = ratio * advantages
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
    return ClipLoss(
        total=-(torch.minimum(free, clipped) * mask).sum(),
        clipped=((clipped < free) * mask).sum(),
    )
