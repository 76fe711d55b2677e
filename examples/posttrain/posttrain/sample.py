"""A completion of a prompt, on its way from the data to the trainer. Hooks read and change it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass
class Sample:
    """Filled in this order: the data source (prompt, label), the engine (tokens to status), the reward."""

    class Status(Enum):
        """COMPLETED: the response ended by itself; TRUNCATED: it ran out of tokens."""

        PENDING = "pending"
        COMPLETED = "completed"
        TRUNCATED = "truncated"

    group_index: int
    """Samples of one prompt have it in common."""
    index: int
    prompt: str
    label: str
    """The right answer, in gsm8k's format."""
    image: str | None = None
    """A picture that belongs to the prompt: a path."""
    tokens: list[int] = field(default_factory=list)
    """Prompt and response."""
    response: str = ""
    response_length: int = 0
    loss_mask: list[int] | None = None
    """1 for each token of the response that learns; None: all of them."""
    rollout_log_probs: list[float] | None = None
    """Of the response's tokens, by the policy that sampled them."""
    routed_experts: Any = None
    """[layers, tokens, experts a token]: where the rollout sent each token; None where it was not asked."""
    teacher_log_probs: list[float] | None = None
    """Of the response's tokens, by the teacher."""
    weights_version: int = 0
    """How many updates the policy that sampled it had seen."""
    status: Status = Status.PENDING
    reward: Any = None
    remove_sample: bool = False
    """It is counted, but does not learn."""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Rollout:
    """What one replica trains on in one step."""

    samples: list[Sample]
    metrics: dict[str, Any]
    """What else the rollout function told."""
    seconds: float


def members(group: list[Any]) -> list[Any]:
    """The samples of ``group``, where generation may have made several of one."""
    return [sample for member in group for sample in (member if isinstance(member, list) else [member])]
