"""From samples to tensors: what a rollout gives to training, and the batches that one forward pass takes.

Between the two, the data is a dict that has for each key a list with one entry a sample, as hooks are handed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from posttrain.arguments import Config
from posttrain.sample import Sample

ON_TOKENS = ("loss_weights", "advantages", "returns", "log_probs", "rollout_log_probs", "values")
"""Keys whose entries hold one number for each token of the response."""
Data = dict[str, Any]


def convert_samples(_args: Any, samples: list[Sample]) -> Data:
    """Plain lists; ``--custom-convert-samples-to-train-data-path`` takes another function in its place.

    :raises ValueError: a sample lacks the log-probabilities that training compares with.
    """
    for sample in samples:
        if len(sample.rollout_log_probs or ()) != sample.response_length:
            raise ValueError(f"sample {sample.index} has no log-probability for each token of its response")
    masks = [sample.loss_mask or [1] * sample.response_length for sample in samples]
    data: Data = {
        "tokens": [sample.tokens for sample in samples],
        "response_lengths": [sample.response_length for sample in samples],
        "loss_masks": [
            [0] * len(mask) if sample.remove_sample else mask for mask, sample in zip(masks, samples, strict=True)
        ],
        "rollout_log_probs": [sample.rollout_log_probs for sample in samples],
        "rewards": [sample.reward for sample in samples],
        "raw_reward": [sample.reward for sample in samples],
        "truncated": [int(sample.status is Sample.Status.TRUNCATED) for sample in samples],
        "sample_indices": [sample.index for sample in samples],
    }
    for name in ("routed_experts", "teacher_log_probs", "image"):
        if all(getattr(sample, name) is not None for sample in samples):
            data[name] = [getattr(sample, name) for sample in samples]
    return data


def to_tensors(plain: Data, device: torch.device) -> Data:
    """The same data with tensors on ``device``, and the lengths of whole sequences."""
    data = dict(plain)
    data["tokens"] = [torch.as_tensor(row, device=device) for row in plain["tokens"]]
    data["total_lengths"] = [len(row) for row in plain["tokens"]]
    for name in ("loss_masks", "rollout_log_probs", "teacher_log_probs"):
        if name in plain:
            rows = plain[name]
            data[name] = [torch.as_tensor(row, dtype=torch.float32, device=device) for row in rows]
    return data


def add_loss_weights(data: Data, *, tokens: float, samples: float, per_token: bool) -> None:
    """What each token counts: ``tokens`` and ``samples`` are numbers over all ranks.

    With them a loss is a plain sum, and so are gradients over micro batches and ranks.
    """
    data["loss_weights"] = [
        mask / tokens if per_token else mask / mask.sum().clamp(min=1) / samples for mask in data["loss_masks"]
    ]


@dataclass(frozen=True)
class Batch:
    """b sequences, padded on the right to S places.

    What belongs to a token of a response stands at the place before it, which predicts it.
    """

    tokens: Tensor
    """[b, S], int64."""
    targets: Tensor
    """[b, S], int64: the token that comes next."""
    positions: Tensor
    """[b, S], int64: the place in the whole sequence."""
    on_tokens: dict[str, Tensor]
    """For each key of ON_TOKENS that the data has: [b, S], float32, 0 where there is no token of a response."""
    data: Data
    """The samples' own entries."""

    def at(self, places: Tensor) -> Batch:
        """The same sequences at some places only: what one rank of a context-parallel group holds."""
        return replace(
            self,
            tokens=self.tokens[:, places],
            targets=self.targets[:, places],
            positions=self.positions[:, places],
            on_tokens={name: values[:, places] for name, values in self.on_tokens.items()},
        )


def width_of(data: Data, config: Config, multiple: int = 1) -> int:
    """How many places the sequences of ``data`` are padded to."""
    width = max(config.sequence_width, *data["total_lengths"])
    return width + -width % multiple


def batches(data: Data, config: Config, multiple: int = 1) -> list[Batch]:
    """``data`` in micro batches of one width, which is a multiple of ``multiple``."""
    width = width_of(data, config, multiple)
    count = len(data["tokens"])
    size = config.micro_batch_size or count
    return [_batch(data, range(start, min(start + size, count)), width) for start in range(0, count, size)]


def _batch(data: Data, rows: Sequence[int], width: int) -> Batch:
    count = len(data["tokens"])
    own = {
        name: [values[row] for row in rows] if isinstance(values, list) and len(values) == count else values
        for name, values in data.items()
    }
    tokens = torch.stack([torch.nn.functional.pad(row, (0, width - len(row))) for row in own["tokens"]])
    return Batch(
        tokens=tokens,
        targets=torch.nn.functional.pad(tokens[:, 1:], (0, 1)),
        positions=torch.arange(width, device=tokens.device).expand_as(tokens),
        on_tokens={name: on_places(own[name], own, width) for name in ON_TOKENS if name in own},
        data=own,
    )


def on_places(values: Sequence[Tensor], data: Data, width: int) -> Tensor:
    """Responses' values, [r] each, at the places that predict them: [b, width], zeros elsewhere."""
    spread = values[0].new_zeros(len(values), width)
    for row, (start, end) in enumerate(_spans(data)):
        spread[row, start:end] = values[row]
    return spread


def from_places(spread: Tensor, data: Data) -> list[Tensor]:
    """The inverse of ``on_places``."""
    return [spread[row, start:end] for row, (start, end) in enumerate(_spans(data))]


def _spans(data: Data) -> Iterator[tuple[int, int]]:
    for total, response in zip(data["total_lengths"], data["response_lengths"], strict=True):
        yield total - response - 1, total - 1


def sum_of_sample_mean(values: Tensor, data: Data) -> Tensor:
    """[sum of response lengths] → scalar: each sample's mean over its tokens that learn, summed."""
    parts = zip(values.split(data["response_lengths"]), data["loss_masks"], strict=True)
    return torch.stack([(part * mask).sum() / mask.sum().clamp(min=1) for part, mask in parts]).sum()
