"""Loss functions for ``--custom-loss-function-path``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain.training.grpo import token_log_probs


def reinforce_loss(
    args: Any, batch: dict[str, Any], logits: Tensor, sum_of_sample_mean: Callable[[Tensor], Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """REINFORCE: -A·log p, without a ratio (Williams 1992).

    ``logits`` is [1, sum of total_lengths, V]; those of a token stand one place before it.
    """
    log_probs = []
    for row, tokens, length in zip(
        logits[0].split(batch["total_lengths"]), batch["tokens"], batch["response_lengths"], strict=True
    ):
        end = len(tokens)
        log_probs.append(
            token_log_probs(row[end - length - 1 : end - 1], tokens[end - length :], args.rollout_temperature)
        )
    loss = -sum_of_sample_mean(torch.cat(batch["advantages"]) * torch.cat(log_probs))
    return loss, {"log_prob": sum_of_sample_mean(torch.cat(log_probs).detach())}
