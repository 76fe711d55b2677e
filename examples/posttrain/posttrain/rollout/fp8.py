"""Weights as an FP8 inference engine would hold them."""

from __future__ import annotations

import torch
from torch import Tensor

_KEPT_WHOLE = ("embed_tokens", "lm_head", "norm", "gate.weight", "router")
"""What engines leave in its own type: it is small, or decides too much."""


def rounded(name: str, weight: Tensor) -> Tensor:
    """``weight`` rounded to float8_e4m3, each output row with a scale of its own, and back.

    A normal number changes by 1/16 of itself at most: e4m3 has three bits of mantissa (arXiv:2209.05433).
    """
    if weight.dim() < 2 or any(part in name for part in _KEPT_WHOLE):
        return weight
    largest = torch.finfo(torch.float8_e4m3fn).max
    scale = weight.abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / largest
    return (weight / scale).to(torch.float8_e4m3fn).to(weight.dtype) * scale
