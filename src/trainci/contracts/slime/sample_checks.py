"""The checks of hooks that handle samples: plain Python, whatever the hook's own Sample class is."""

from __future__ import annotations

import copy
import math
import tempfile
from typing import Any

from trainci.contracts.contract import Hook, Violation
from trainci.contracts.slime.stand_ins import (
    SAMPLING_PARAMS,
    DataSource,
    Sample,
    arguments,
    completed,
    completed_groups,
    prompt,
)

GENERATED = ("completed", "truncated", "aborted", "failed")
TRAIN_DATA = ("tokens", "response_lengths", "rewards", "raw_reward", "truncated", "sample_indices", "loss_masks")
"""What training reads of converted samples."""


def rollout(hook: Hook) -> None:
    """A rollout for training: whole groups of generated, rewarded samples."""
    args = arguments(hook)
    answer = hook.call(args, 3, DataSource(args), evaluation=False)
    groups = getattr(answer, "samples", answer)
    _expect_list(groups, args.rollout_batch_size, "groups (args.rollout_batch_size)", groups)
    for group in groups:
        _expect_list(group, args.n_samples_per_prompt, "samples in a group (args.n_samples_per_prompt)", group)
        for member in group:
            for sample in member if isinstance(member, list) else [member]:
                _expect_generated(sample)
                _expect_number(_attribute(sample, "reward"), "reward", sample, args.reward_key)
    metrics = getattr(answer, "metrics", None)
    if metrics is not None and not isinstance(metrics, dict):
        raise Violation(f"metrics is {_type(metrics)}, not a dict or None")


def evaluation(hook: Hook) -> None:
    """A rollout for evaluation: rewards, truncations and samples by data set, of one length."""
    args = arguments(hook)
    answer = hook.call(args, 3, DataSource(args), evaluation=True)
    data = getattr(answer, "data", answer)
    if not isinstance(data, dict) or not data:
        raise Violation(f"returned {_type(data)}, not a dict of at least one data set")
    for name, result in data.items():
        rewards = result.get("rewards") if isinstance(result, dict) else None
        if not isinstance(rewards, list) or not rewards:
            raise Violation(f"data set {name!r} has no list 'rewards' with something in it")
        for key in ("truncated", "samples"):
            if key in result:
                _expect_list(result[key], len(rewards), f"{key} in data set {name!r}, as many as rewards")
        for number, reward in enumerate(rewards):
            sample = result["samples"][number] if "samples" in result else None
            _expect_number(
                reward, f"rewards[{number}] of {name!r}", sample, args.eval_reward_key or args.reward_key
            )


def generate(hook: Hook) -> None:
    """One sample, generated in place or as new ones."""
    for index in (0, 1):
        given = prompt(index)
        answer = hook.call(arguments(hook), given, dict(SAMPLING_PARAMS), sample=given)
        samples = answer if isinstance(answer, list) else [answer]
        if not samples:
            raise Violation("returned an empty list: the prompt is lost", prompt(index))
        for sample in samples:
            _expect_generated(sample)
            if _attribute(sample, "index") != index:
                raise Violation(f"the sample came back with another index than {index}", sample)


def reward(hook: Hook) -> None:
    """The reward of one sample; an empty or cut response has one too."""
    for index in range(4):
        sample = completed(index)
        args = arguments(hook)
        _expect_number(hook.call(args, sample, sample=sample), "the reward", sample, args.reward_key)


def group_reward(hook: Hook) -> None:
    """The rewards of a group, one a sample, in their order."""
    samples = [completed(index) for index in range(4)]
    args = arguments(hook, group_rm=True)
    rewards = hook.call(args, samples, sample=samples)
    _expect_list(rewards, len(samples), "rewards, one a sample")
    for value, sample in zip(rewards, samples, strict=True):
        _expect_number(value, "the reward", sample, args.reward_key)


def dynamic_filter(hook: Hook) -> None:
    """Whether a group is kept: groups of mixed and of equal rewards."""
    for rewards in ((1.0, 0.0), (1.0, 1.0), (0.0, 0.0)):
        group = [completed(index, value) for index, value in enumerate(rewards)]
        answer = hook.call(arguments(hook), group, sample=group)
        keep = getattr(answer, "keep", answer)
        keep = keep.item() if hasattr(keep, "item") else keep
        if not isinstance(keep, bool):
            raise Violation(f"keep is {_type(keep)}, not a bool", group)


def buffer_filter(hook: Hook) -> None:
    """Groups move from the buffer into the answer: none twice, no more than asked for."""
    for wanted in (1, 3, 5):
        groups = completed_groups(3)
        buffer = list(groups)
        answer = hook.call(arguments(hook), 3, buffer, wanted, sample=groups[0])
        if not isinstance(answer, list):
            raise Violation(f"returned {_type(answer)}, not a list of groups")
        if len(answer) > wanted:
            raise Violation(f"returned {len(answer)} groups where {wanted} were asked for")
        for group in answer:
            if any(group is left for left in buffer):
                raise Violation("left a group in the buffer that it returned: it would be trained on twice", group)


def data_source(hook: Hook) -> None:
    """A class: draws groups of prompts, takes groups back, saves and loads its place."""
    with tempfile.TemporaryDirectory(prefix="trainci-contract-") as directory:
        args = arguments(hook, save=directory, load=directory)
        source = hook.call(args)
        for name in ("get_samples", "add_samples", "save", "load", "__len__"):
            if not callable(getattr(source, name, None)):
                raise Violation(f"has no method {name}()")
        groups = hook.run(lambda: source.get_samples(2))
        _expect_list(groups, 2, "groups from get_samples(2)")
        for group in groups:
            _expect_list(group, args.n_samples_per_prompt, "samples in a group (args.n_samples_per_prompt)", group)
            for sample in group:
                if not _attribute(sample, "prompt"):
                    raise Violation("get_samples() gave a sample without a prompt", sample)
        hook.run(lambda: source.add_samples(groups), groups[0])
        hook.run(lambda: source.save(3))
        hook.run(lambda: source.load(3))
        length = hook.run(lambda: len(source))
        if length <= 0:
            raise Violation(f"len() of it is {length} after groups were given back")


def sample_filter(hook: Hook) -> None:
    """Sets ``remove_sample`` in place; groups keep their members."""
    groups = completed_groups()
    before = [list(group) for group in groups]
    _expect_none(hook.call(arguments(hook), groups, sample=groups[0]))
    _expect_same_members(groups, before)
    for group in groups:
        for sample in group:
            if not isinstance(sample.remove_sample, bool):
                raise Violation(f"set remove_sample to {_type(sample.remove_sample)}, not to a bool", sample)


def all_samples(hook: Hook) -> None:
    """Looks at every sample, the filtered ones too; groups keep their members."""
    groups = completed_groups()
    before = [list(group) for group in groups]
    args = arguments(hook)
    _expect_none(hook.call(args, groups, DataSource(args), sample=groups[0]))
    _expect_same_members(groups, before)


def reward_post_process(hook: Hook) -> None:
    """Raw and processed rewards, one a sample."""
    samples = [sample for group in completed_groups() for sample in group]
    answer = hook.call(arguments(hook), samples, sample=samples)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise Violation(f"returned {_type(answer)}, not a pair (raw_rewards, rewards)")
    for name, rewards in zip(("raw_rewards", "rewards"), answer, strict=True):
        _expect_list(rewards, len(samples), f"{name}, one a sample")
        for number, (value, sample) in enumerate(zip(rewards, samples, strict=True)):
            _expect_number(value, f"{name}[{number}]", sample)


def convert(hook: Hook) -> None:
    """The columns that training reads, one entry a sample."""
    samples = [sample for group in completed_groups() for sample in group]
    data = hook.call(arguments(hook), copy.deepcopy(samples), sample=samples)
    if not isinstance(data, dict):
        raise Violation(f"returned {_type(data)}, not a dict")
    missing = [key for key in TRAIN_DATA if key not in data]
    if missing:
        raise Violation(f"the dict lacks {', '.join(map(repr, missing))}")
    for key in TRAIN_DATA:
        _expect_list(data[key], len(samples), f"{key}, one a sample")
    for number, sample in enumerate(samples):
        response, mask = data["response_lengths"][number], data["loss_masks"][number]
        if response > len(data["tokens"][number]):
            raise Violation(f"response_lengths[{number}] is {response}: more than its tokens", sample)
        if len(mask) != response:
            raise Violation(f"loss_masks[{number}] has {len(mask)} entries for {response} tokens", sample)


def rollout_log(hook: Hook) -> None:
    """Whether the trainer's own logging is to be skipped."""
    samples = [sample for group in completed_groups() for sample in group]
    _expect_bool(hook.call(3, arguments(hook), samples, {"rollout/zero_std": 0.5}, 1.5, sample=samples))


def eval_log(hook: Hook) -> None:
    """Whether the trainer's own logging is to be skipped."""
    samples = completed_groups(1)[0]
    result = {"rewards": [1.0, 0.0], "truncated": [False, True], "samples": samples}
    _expect_bool(hook.call(3, arguments(hook), {"gsm8k": result}, {"eval/pass_rate": 0.5}, sample=samples))


def _expect_generated(sample: Any) -> None:
    """What a sample must carry after generation."""
    tokens, length = _attribute(sample, "tokens"), _attribute(sample, "response_length")
    status = _attribute(sample, "status")
    if getattr(status, "value", status) not in GENERATED:
        raise Violation(
            f"status is {getattr(status, 'value', status)!r}, not one of {', '.join(GENERATED)}", sample
        )
    _expect_each(tokens, int, "tokens", sample)
    if not isinstance(length, int) or not 0 <= length < len(tokens):
        raise Violation(f"response_length is {length!r}, with {len(tokens)} tokens of prompt and response", sample)
    mask, log_probs = getattr(sample, "loss_mask", None), getattr(sample, "rollout_log_probs", None)
    if mask is not None:
        _expect_list(mask, length, "entries of loss_mask, one a token of the response", sample)
        if not set(mask) <= {0, 1}:
            raise Violation("loss_mask holds something else than 0 and 1", sample)
    if log_probs is not None:
        _expect_list(log_probs, length, "rollout_log_probs, one a token of the response", sample)
        if not all(isinstance(value, (int, float)) and value <= 1e-6 for value in log_probs):
            raise Violation("rollout_log_probs holds something else than logarithms of probabilities", sample)


def _attribute(sample: Any, name: str) -> Any:
    if not hasattr(sample, name):
        raise Violation(f"gave back {_type(sample)} without {name!r}: not a sample", sample)
    return getattr(sample, name)


def _expect_number(value: Any, name: str, sample: object, key: str | None = None) -> None:
    if key and isinstance(value, dict):
        value = value.get(key)
    if not isinstance(value, (int, float)):
        raise Violation(f"{name} is {_type(value)}, not a number", sample)
    if not math.isfinite(value):
        raise Violation(f"{name} is {value}", sample)


def _expect_each(values: Any, kind: type, name: str, sample: object) -> None:
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise Violation(f"{name} is not a list of {kind.__name__}", sample)


def _expect_list(value: Any, length: int, name: str, sample: object = None) -> None:
    if not isinstance(value, list):
        raise Violation(f"gave {_type(value)}, not a list of {length} {name}", sample)
    if len(value) != length:
        raise Violation(f"gave {len(value)}, not {length} {name}", sample)


def _expect_none(answer: object) -> None:
    if answer is not None:
        raise Violation(f"returned {_type(answer)}: the trainer ignores it, so change the samples in place")


def _expect_bool(answer: object) -> None:
    if not isinstance(answer, bool):
        raise Violation(f"returned {_type(answer)}, not True (skip the default logging) or False")


def _expect_same_members(groups: list[list[Sample]], before: list[list[Sample]]) -> None:
    if [list(map(id, group)) for group in groups] != [list(map(id, group)) for group in before]:
        raise Violation("added, dropped or reordered samples: their groups are counted afterwards")


def _type(value: object) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r:.60}"
