"""What a training engine offers. Each rank holds one Backend for the policy, and one for a critic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from posttrain.distributed import gather
from posttrain.training.data import Data

T = TypeVar("T")


@dataclass(frozen=True)
class Replica:
    """The ranks that hold one copy of the model between them; they train on the same samples."""

    index: int
    count: int
    """How many copies there are: each gets its share of the prompts."""
    group: dist.ProcessGroup | None
    """None: each rank holds a copy of its own, or a part of the one that all share."""
    leader: int
    """The rank that samples for the others."""

    def gather(self, own: T) -> list[T]:
        """What each replica has, once each, in their order; all ranks call this together."""
        replicas = dict(gather((self.index, own)))
        return [replicas[index] for index in sorted(replicas)]


@dataclass(frozen=True)
class StepResult:
    """What one update reports; every number is over all ranks' samples."""

    loss: float
    grad_norm: float
    metrics: Mapping[str, float]
    """What else the loss function tells."""


class Backend(Protocol):
    """A sharded model with its optimizer. All ranks call each method together."""

    replica: Replica
    model: list[torch.nn.Module]
    """The modules of this rank, for hooks."""
    optimizer: Any

    def scores(self, data: Data) -> list[Tensor]:
        """What the objective reads of each response's tokens under the current weights, without gradient.

        Of a policy their log-probabilities, of a critic the value before each.
        """

    def train_step(self, data: Data) -> StepResult:
        """One optimizer step on every replica's data."""

    def weights_for_rollout(self) -> Mapping[str, Tensor]:
        """The whole weights on every rank, by the names of transformers' model."""

    def local_weights(self) -> Mapping[str, Tensor]:
        """This rank's own part of the weights."""

    def save(self, directory: Path, *, asynchronous: bool) -> None:
        """Write weights and optimizer into ``directory``, which is there and empty.

        Asynchronous: this returns once they are copied, so that training may change them; at most one such save
        goes on at a time.
        """

    def finish_save(self) -> None:
        """Return when what this rank has to write is written.

        :raises Exception: it could not be.
        """

    def load(self, directory: Path) -> None:
        """Take over weights and optimizer from ``directory``, whatever layout of ranks saved them."""
