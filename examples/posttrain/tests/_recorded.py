"""Reads what ``_recorder`` and ``--save-rollout`` wrote of a run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from reference import step
from torch import Tensor

Row = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """A directory of the recorder, with ``rollouts`` within it."""

    directory: Path
    replicas: int
    shards: int
    """In how many files the recorder writes one model."""

    def samples(self, number: int) -> list[list[Row]]:
        """Of each replica those of a step."""
        files = sorted((self.directory / "rollouts").glob(f"step-{number}-replica-*-of-{self.replicas}.pt"))
        assert len(files) == self.replicas, f"{len(files)} replicas wrote rollouts, not {self.replicas}"
        return [torch.load(file)["samples"] for file in files]

    def update(self, whose: str, number: int) -> Row | None:
        """The update of a step, put together from the shards of its ranks; None: there was none."""
        parts = [torch.load(file) for file in sorted(self.directory.glob(f"{whose}-{number}-rank-*.pt"))]
        assert len(parts) in (0, self.shards), (
            f"{len(parts)} of {self.shards} ranks took step {number} of the {whose}"
        )
        if len(parts) < 2:
            return parts[0] if parts else None
        return {
            kind: {name: torch.cat([part[kind][name] for part in parts]) for name in tensors}
            for kind, tensors in parts[0].items()
        }

    def data(self, number: int) -> dict[int, Row]:
        """By the sample's index; ranks of one replica must have the same."""
        found: dict[int, Row] = {}
        for file in sorted(self.directory.glob(f"data-{number}-rank-*.pt")):
            data = torch.load(file)
            for place, index in enumerate(data.pop("sample_indices")):
                entry = {name: rows[place] for name, rows in data.items()}
                for name, value in found.get(index, entry).items():
                    gap = (value.double() - entry[name].double()).abs().max() if value.numel() else 0.0
                    assert gap < 1e-5, f"ranks differ in the {name} of sample {index}"
                found[index] = entry
        return found


def assert_apart(parts: Sequence[list[Row]]) -> None:
    """No group is another replica's as well."""
    for ours, theirs in itertools.combinations(parts, 2):
        shared = {s["group_index"] for s in ours} & {s["group_index"] for s in theirs}
        assert not shared, f"groups {shared} were sampled by two replicas"


def rows(data: dict[int, Row], samples: Sequence[Row], *names: str) -> list[Tensor]:
    """Of each sample the first of ``names`` that was recorded."""
    entries = [data[sample["index"]] for sample in samples]
    return [next(entry[name] for name in names if name in entry) for entry in entries]


def response(sample: Row, data: dict[int, Row]) -> step.Response:
    """What the reference needs to know of a sample, which training must have seen as it was."""
    length = sample["response_length"]
    mask = [0] * length if sample["remove_sample"] else sample["loss_mask"] or [1] * length
    entry = data[sample["index"]]
    assert entry["tokens"].tolist() == sample["tokens"], f"training saw other tokens of sample {sample['index']}"
    assert entry["loss_masks"].tolist() == mask, f"training saw another mask of sample {sample['index']}"
    return step.Response(
        group=sample["group_index"],
        tokens=sample["tokens"],
        length=length,
        rollout=torch.tensor(sample["rollout_log_probs"], dtype=torch.float64),
        reward=sample["reward"],
        learns=torch.tensor(mask, dtype=torch.float64),
        teacher=torch.tensor(sample["teacher_log_probs"] or [], dtype=torch.float64),
    )
