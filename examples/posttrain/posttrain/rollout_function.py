"""``--rollout-function-path``: from prompts to rewarded samples. This one is the default; it needs no torch."""

from __future__ import annotations

import asyncio
from typing import Any

from posttrain.hooks import load_function

MAX_DRAWS = 4
"""How many batches of prompts a dynamic filter may use up; after them, groups that it dropped fill the rest."""


def generate_rollout(args: Any, rollout_id: int, data_source: Any, evaluation: bool = False) -> list[list[Any]]:
    """``args.rollout_batch_size`` groups of generated and rewarded samples.

    The same arguments give the same samples. ``evaluation`` is this function's only way to say no.

    :raises NotImplementedError: for an evaluation.
    """
    if evaluation:
        raise NotImplementedError("this trainer has no evaluation")
    keep = load_function(args.dynamic_sampling_filter_path) if args.dynamic_sampling_filter_path else None
    seed = (args.seed * 1_000_003 + rollout_id) * args.world_size + args.rank
    kept: list[list[Any]] = []
    dropped: list[list[Any]] = []
    for draw in range(MAX_DRAWS):
        groups = data_source.get_samples(args.rollout_batch_size)
        asyncio.run(_fill(args, groups, seed + draw * 2**40))
        for group in groups:
            (kept if keep is None or keep(args, group) else dropped).append(group)
        if len(kept) >= args.rollout_batch_size:
            break
    return (kept + dropped)[: args.rollout_batch_size]


async def _fill(args: Any, groups: list[list[Any]], seed: int) -> None:
    """Generate and reward every sample, in place."""
    if args.custom_generate_function_path:
        generate = load_function(args.custom_generate_function_path)
        for group in groups:
            for number, sample in enumerate(group):
                sampling_params = {
                    "temperature": args.rollout_temperature,
                    "max_new_tokens": args.rollout_max_response_len,
                    "sampling_seed": seed + sample.index * 2**20,
                }
                group[number] = await generate(args, sample, sampling_params)
    else:
        args.rollout_engine.generate([sample for group in groups for sample in group], seed=seed)
    reward = load_function(args.custom_rm_path)
    for group in groups:
        for sample in group:
            sample.reward = await reward(args, sample)
