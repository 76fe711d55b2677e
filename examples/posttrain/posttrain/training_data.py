"""What a rollout gives to training: for each key a list with one entry a sample, as hooks are handed it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from posttrain.rollout import Rollout
from posttrain.sample import Sample


def training_data(rollout: Rollout, advantages: Tensor) -> dict[str, Any]:
    """``advantages`` is [B]; every token of a response gets its sample's."""
    lengths = [sample.response_length for sample in rollout.samples]

    def responses(values: Tensor) -> list[Tensor]:
        return [row[:length] for row, length in zip(values, lengths, strict=True)]

    return {
        "tokens": [row[mask.bool()] for row, mask in zip(rollout.tokens, rollout.attention_mask, strict=True)],
        "total_lengths": [len(sample.tokens) for sample in rollout.samples],
        "response_lengths": lengths,
        "loss_masks": responses(rollout.completion_mask),
        "advantages": responses(advantages.unsqueeze(1).expand_as(rollout.completion_mask)),
        "rollout_log_probs": responses(rollout.log_probs),
        "rewards": rollout.rewards.tolist(),
        "truncated": [int(sample.status is Sample.Status.TRUNCATED) for sample in rollout.samples],
    }


def padded(values: list[Tensor], width: int) -> Tensor:
    """One row a sample, [B, width], zeros on the right."""
    return torch.stack([torch.nn.functional.pad(value, (0, width - len(value))) for value in values])


def sum_of_sample_mean(values: Tensor, data: dict[str, Any]) -> Tensor:
    """[sum of response lengths] → scalar: each sample's mean over its tokens that learn, summed."""
    parts = zip(values.split(data["response_lengths"]), data["loss_masks"], strict=True)
    return torch.stack([(part * mask).sum() / mask.sum().clamp(min=1) for part, mask in parts]).sum()
