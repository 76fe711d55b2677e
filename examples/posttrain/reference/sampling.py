"""The probabilities of what was sampled, and where a response ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Vector = torch.Tensor


def log_probs(logits: torch.Tensor, tokens: Sequence[int], response: int, temperature: float) -> Vector:
    """The log-probabilities of the last ``response`` of ``tokens``, by softmax(logits / temperature).

    Row t of ``logits`` predicts token t + 1, so the first token of a response stands in the prompt's last row.
    """
    first = len(tokens) - response
    result = []
    for position in range(first, len(tokens)):
        scaled = logits[position - 1].double() / temperature
        weights = (scaled - scaled.max()).exp()
        result.append((weights[tokens[position]] / weights.sum()).log())
    return torch.stack(result)


def ending(response: Sequence[int], eos: int, longest: int) -> str:
    """How a response ended: ``completed`` with its first end-of-sequence token, or ``truncated`` at ``longest``.

    :raises ValueError: it went on after its end, or stopped before either.
    """
    if eos in response[:-1]:
        raise ValueError(f"a response goes on after its end: {list(response)}")
    if response and response[-1] == eos:
        return "completed"
    if len(response) != longest:
        raise ValueError(f"a response of {len(response)} tokens ends neither by itself nor at {longest}")
    return "truncated"
