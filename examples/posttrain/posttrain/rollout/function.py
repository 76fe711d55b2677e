"""``--rollout-function-path``: from prompts to rewarded samples. This one is the default; it needs no torch."""

from __future__ import annotations

import asyncio
from typing import Any

from posttrain.hooks import load_function, load_hook
from posttrain.sample import members

MAX_DRAWS = 4
"""How many batches of prompts a dynamic filter may use up; after them, groups that it dropped fill the rest."""


def generate_rollout(args: Any, rollout_id: int, data_source: Any, evaluation: bool = False) -> Any:
    """``args.rollout_batch_size`` groups of generated and rewarded samples; the same arguments give the same.

    For an evaluation, the rewards of as many groups, whatever the filters say: ``--eval-function-path`` may name
    this function, too.
    """
    seed = (args.seed * 1_000_003 + rollout_id) * args.world_size + args.rank
    size = args.rollout_batch_size
    if evaluation:
        # A data source of its own: the same prompts each time, and none that was given back with its response.
        return {"problems": _evaluation(draw(args, type(data_source)(args), size, seed))}
    kept: list[list[Any]] = []
    dropped: list[list[Any]] = []
    for number in range(MAX_DRAWS):
        for group in draw(args, data_source, size, seed + number * 2**40):
            (kept if is_kept(args, group) else dropped).append(group)
        if len(kept) >= size:
            break
    data_source.add_samples(kept[size:])
    chosen = (kept + dropped)[:size]
    finish(args, chosen, kept + dropped, data_source)
    return chosen


def draw(args: Any, data_source: Any, count: int, seed: int) -> list[list[Any]]:
    """``count`` groups of the data source; what has no response and reward yet gets them."""
    groups: list[list[Any]] = data_source.get_samples(count)
    asyncio.run(_fill(args, [group for group in groups if _waits(group)], seed))
    return groups


def is_kept(args: Any, group: list[Any]) -> bool:
    """The word of the dynamic filter."""
    keep = load_hook(args.dynamic_sampling_filter_path)
    answer = keep(args, members(group)) if keep else True
    return bool(getattr(answer, "keep", answer))


def finish(args: Any, chosen: list[list[Any]], seen: list[list[Any]], data_source: Any) -> None:
    """Show the hooks what is trained on, and all that was sampled for it."""
    if filter_samples := load_hook(args.rollout_sample_filter_path):
        filter_samples(args, [members(group) for group in chosen])
    if process := load_hook(args.rollout_all_samples_process_path):
        process(args, [members(group) for group in seen], data_source)


async def _fill(args: Any, groups: list[list[Any]], seed: int) -> None:
    """Generate and reward every sample, in place; a generate hook may make several of one."""
    if generate := load_hook(args.custom_generate_function_path):
        for group in groups:
            for number, sample in enumerate(group):
                sampling_params = {
                    "temperature": args.rollout_temperature,
                    "max_new_tokens": args.rollout_max_response_len,
                    "sampling_seed": seed + sample.index * 2**20,
                }
                group[number] = await generate(args, sample, sampling_params)
    elif groups:
        args.rollout_engine.generate([sample for group in groups for sample in group], seed=seed)
    reward = load_function(args.custom_rm_path)
    for group in map(members, groups):
        rewards = await reward(args, group) if args.group_rm else [await reward(args, sample) for sample in group]
        for sample, value in zip(group, rewards, strict=True):
            sample.reward = value


def _waits(group: list[Any]) -> bool:
    return any(sample.status.value == "pending" for sample in members(group))


def _evaluation(groups: list[list[Any]]) -> dict[str, list[Any]]:
    samples = [sample for group in groups for sample in members(group)]
    return {
        "rewards": [sample.reward for sample in samples],
        "truncated": [sample.status.value == "truncated" for sample in samples],
        "samples": samples,
    }
