"""What hooks are called with: the trainer's objects at their smallest, by their public attributes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from trainci.contracts.contract import Args, Hook


@dataclass
class Sample:
    """One completion of one prompt, with the attributes that hooks read and write."""

    class Status(Enum):
        """Where a sample stands."""

        PENDING = "pending"
        COMPLETED = "completed"
        TRUNCATED = "truncated"
        ABORTED = "aborted"
        FAILED = "failed"

    group_index: int | None = None
    index: int | None = None
    prompt: str | list[dict[str, str]] = ""
    tokens: list[int] = field(default_factory=list)
    """Prompt and response."""
    response: str = ""
    response_length: int = 0
    """Tokens of the response."""
    label: str | None = None
    reward: float | dict[str, Any] | None = None
    loss_mask: list[int] | None = None
    """A 0 or 1 for each token of the response; None: all of them learn."""
    rollout_log_probs: list[float] | None = None
    """One for each token of the response."""
    remove_sample: bool = False
    status: Status = Status.PENDING
    metadata: dict[str, Any] = field(default_factory=dict)
    train_metadata: dict[str, Any] | None = None
    weight_versions: list[str] = field(default_factory=list)


_ARGS: dict[str, object] = {
    "rollout_batch_size": 2,
    "n_samples_per_prompt": 2,
    "global_batch_size": 4,
    "rollout_temperature": 1.0,
    "rollout_max_response_len": 4,
    "reward_key": None,
    "eval_reward_key": None,
    "group_rm": False,
    "advantage_estimator": "grpo",
    "rewards_normalization": True,
    "grpo_std_normalization": True,
    "calculate_per_token_loss": False,
    "eps_clip": 0.2,
    "eps_clip_high": 0.28,
    "tis_clip": 2.0,
    "tis_clip_low": 0.0,
    "seed": 0,
}


def arguments(hook: Hook, **values: object) -> Args:
    """The trainer's arguments as ``hook`` sees them: those that most hooks read, and ``values``."""
    return hook.args(**{**_ARGS, **values})


SAMPLING_PARAMS = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "max_new_tokens": 4, "sampling_seed": 0}


def prompt(index: int) -> Sample:
    """A sample that has not been generated yet."""
    return Sample(
        group_index=index // 2, index=index, prompt=f"What is 1 + {index // 2}?", label=f"#### {1 + index // 2}"
    )


def completed(index: int, reward: float | None = None) -> Sample:
    """A generated sample; the second of each group has an empty response and was cut off."""
    sample = prompt(index)
    cut = index % 2 == 1
    sample.response = "" if cut else f"#### {1 + index // 2}"
    response = [] if cut else [5, 6]
    sample.tokens = [1, 2, 3, *response]
    sample.response_length = len(response)
    sample.loss_mask = [1] * len(response)
    sample.rollout_log_probs = [-0.5] * len(response)
    sample.status = Sample.Status.TRUNCATED if cut else Sample.Status.COMPLETED
    sample.reward = reward
    return sample


def completed_groups(count: int = 2) -> list[list[Sample]]:
    """``count`` groups of two rewarded samples."""
    return [[completed(2 * group, 1.0), completed(2 * group + 1, 0.0)] for group in range(count)]


class DataSource:
    """Prompts without end, in groups of ``args.n_samples_per_prompt``."""

    def __init__(self, args: Args) -> None:
        self._args = args
        self._drawn = 0
        self._returned: list[list[Sample]] = []

    def get_samples(self, num_samples: int) -> list[list[Sample]]:
        """``num_samples`` groups; those that were given back come first."""
        again, self._returned = self._returned[:num_samples], self._returned[num_samples:]
        return again + [self._group() for _ in range(num_samples - len(again))]

    def add_samples(self, samples: list[list[Sample]]) -> None:
        """Take groups back that were not used."""
        self._returned += samples

    def __len__(self) -> int:
        return 1_000_000

    def _group(self) -> list[Sample]:
        first = prompt(2 * self._drawn)
        group = []
        for number in range(self._args.n_samples_per_prompt):
            sample = copy.deepcopy(first)
            sample.group_index, sample.index = self._drawn, self._drawn * self._args.n_samples_per_prompt + number
            group.append(sample)
        self._drawn += 1
        return group
