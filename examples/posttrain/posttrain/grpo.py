"""The mathematics of GRPO: pure functions of tensors."""

from __future__ import annotations

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
