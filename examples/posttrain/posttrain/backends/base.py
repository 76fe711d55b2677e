"""What a training engine offers. Each rank holds one Backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from posttrain.rollout import Rollout


@dataclass(frozen=True)
class StepResult:
    """What one update reports; every number is over all ranks' tokens."""

    loss: float
    grad_norm: float
    metrics: Mapping[str, float]
    """What else the loss function tells."""


class Backend(Protocol):
    """A sharded policy with its optimizer. All ranks call each method together."""

    def log_probs(self, rollout: Rollout) -> Tensor:
        """Log-probabilities of the rollout's completions under the current weights, [B, C], no gradient."""

    def train_step(self, rollout: Rollout, data: dict[str, Any]) -> StepResult:
        """One optimizer step on every rank's rollout and its ``training_data``."""

    def weights_for_rollout(self) -> Mapping[str, Tensor]:
        """The whole weights on every rank, by the names of transformers' model."""

    def local_weights(self) -> Mapping[str, Tensor]:
        """This rank's own part of the weights."""
