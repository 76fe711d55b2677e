"""The loss of multi-token prediction."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def cross_entropy(logits: torch.Tensor, tokens: Sequence[int], depth: int, first: int) -> torch.Tensor:
    """Minus the log-probabilities of the targets that the MTP module of ``depth`` (1 is the first) predicts.

    DeepSeek-V3 (2024), equations 24 and 25: at position i it predicts token i + depth + 1. Row i of ``logits``
    stands at position i. Targets before token ``first``, the start of the response, do not count.
    """
    terms = []
    for position in range(len(tokens) - depth - 1):
        target = position + depth + 1
        if target < first:
            continue
        row = logits[position].double()
        weights = (row - row.max()).exp()
        terms.append(-(weights[tokens[target]] / weights.sum()).log())
    return torch.stack(terms)
