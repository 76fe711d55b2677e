"""Functions that the trainer loads from function paths, and small ones to begin with.

What each is called with stands in trainci's table: ``trainci contracts list``. The ones below need no torch.
"""

# ruff: noqa: ARG001

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from posttrain.arguments import BadArguments, Config
from posttrain.task.reward import final_answer, reward


def load_function(path: str) -> Callable[..., Any]:
    """The function at ``package.module.function``.

    :raises BadArguments: there is none. An error inside the module itself is left as it is.
    """
    module_name, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ModuleNotFoundError, ValueError, AttributeError) as error:
        raise BadArguments(f"cannot load the hook {path!r}: {error}") from error
    if not callable(function):
        raise BadArguments(f"the hook {path!r} is not callable")
    return function  # type: ignore[no-any-return]


def load_hook(path: str | None) -> Any:
    """``load_function`` of an option that may be left out; None for None."""
    return load_function(path) if path else None


def check_paths(config: Config) -> None:
    """Load every hook of the run, so that a wrong path is known before the first step.

    :raises BadArguments: one of them cannot be loaded.
    """
    for field in dataclasses.fields(config):
        if field.metadata.get("hook"):
            load_hook(getattr(config, field.name))


def hook_args(config: Config, **more: object) -> SimpleNamespace:
    """The ``args`` of a hook: the run's Config, once more under the names that hooks of other trainers read."""
    return SimpleNamespace(
        **vars(config),
        n_samples_per_prompt=config.samples_per_prompt,
        rollout_temperature=config.temperature,
        rollout_max_response_len=config.max_new_tokens,
        calculate_per_token_loss=config.per_token_loss,
        **more,
    )


async def rule_based_reward(args: Any, sample: Any) -> float:
    """custom-rm-path: the rule-based reward, the default."""
    return reward(sample.response, sample.label)


async def digit_share(args: Any, sample: Any) -> float:
    """custom-rm-path: the share of digits in a full response; dense, so that a few steps show what learns."""
    return sum(letter.isdigit() for letter in sample.response) / args.rollout_max_response_len


async def generate_with_retry(args: Any, sample: Any, sampling_params: dict[str, Any]) -> Any:
    """custom-generate-function-path: sample a second time when the first response holds no answer at all."""
    for attempt in range(2):
        args.rollout_engine.generate([sample], seed=sampling_params["sampling_seed"] + attempt)
        sample.metadata["attempts"] = attempt + 1
        if final_answer(sample.response) is not None:
            break
    return sample


def keep_mixed_groups(args: Any, samples: list[Any]) -> bool:
    """dynamic-sampling-filter-path: drop groups of equal rewards, which teach nothing (DAPO, arXiv:2503.14476)."""
    return len({sample.reward for sample in samples}) > 1


def pop_first(args: Any, rollout_id: int, buffer: list[Any], num_samples: int) -> list[Any]:
    """buffer-filter-path: the groups that have waited longest, the default."""
    taken, buffer[:] = buffer[:num_samples], buffer[num_samples:]
    return taken


def centred_rewards(args: Any, samples: list[Any]) -> tuple[list[float], list[float]]:
    """custom-reward-post-process-path: rewards less their group's mean, not divided by its deviation.

    As in Dr. GRPO (arXiv:2503.20783), section 3.2.
    """
    groups: dict[int, list[float]] = {}
    for sample in samples:
        groups.setdefault(sample.group_index, []).append(sample.reward)
    means = {group: sum(rewards) / len(rewards) for group, rewards in groups.items()}
    raw = [sample.reward for sample in samples]
    return raw, [sample.reward - means[sample.group_index] for sample in samples]


def mask_truncated(args: Any, rollout_id: int, rollout_data: dict[str, Any]) -> None:
    """rollout-data-postprocess-path: responses that were cut off do not learn (DAPO's overlong filtering)."""
    for number, cut in enumerate(rollout_data["truncated"]):
        if cut:
            rollout_data["loss_masks"][number] = rollout_data["loss_masks"][number] * 0
