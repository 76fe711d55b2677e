"""The same update in every layout that the ranks can take: each must give one loss and one gradient norm.

A row for each layout goes into the metrics; the first rows are FSDP's.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from transformers import AutoConfig, PretrainedConfig

from posttrain.arguments import Config
from posttrain.distributed import share
from posttrain.hooks import hook_args
from posttrain.learner import Learner
from posttrain.model import experts_of
from posttrain.rollout import RolloutEngine
from posttrain.sample import Sample
from posttrain.task import DataSource
from posttrain.trainer import Report

AXES = ("tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel")


def layouts(world: int, model: PretrainedConfig) -> Iterator[dict[str, int]]:
    """Every tensor × pipeline × context × expert parallel layout of ``world`` ranks that ``model`` divides into."""
    sizes = [size for size in range(1, world + 1) if world % size == 0]
    for tensor in (size for size in sizes if model.num_key_value_heads % size == 0):
        for pipeline in (size for size in sizes if model.num_hidden_layers % size == 0):
            for context in (size for size in sizes if world % (tensor * pipeline * size) == 0):
                for expert in (size for size in sizes if experts_of(model) % size == 0):
                    if world // pipeline % expert == 0 and world % (tensor * pipeline) == 0:
                        yield dict(zip(AXES, (tensor, pipeline, context, expert), strict=True))


def check(config: Config, device: torch.device) -> None:
    """Write a row for each layout and each way to average the loss."""
    world = dist.get_world_size()
    samples = share(_samples(config, device) if dist.get_rank() == 0 else None, dist.group.WORLD, leader=0)
    report = Report(config)
    model = AutoConfig.from_pretrained(config.model_path).get_text_config()
    runs: list[dict[str, Any]] = [{"backend": "fsdp"}]
    runs += [{"backend": "megatron", **layout} for layout in layouts(world, model)]
    for number, options in enumerate({**run, "per_token_loss": each} for run in runs for each in (False, True)):
        learner = Learner(dataclasses.replace(config, **options), device)
        replica = learner.policy.replica
        own = [sample for group in samples[replica.index :: replica.count] for sample in group]
        row = learner.update(own, 1)
        data_parallel = replica.count
        report(number, {**options, "data_parallel": data_parallel, **row})
        if options["backend"] == "megatron":
            from megatron.core import parallel_state

            parallel_state.destroy_model_parallel()


def _samples(config: Config, device: torch.device) -> list[list[Sample]]:
    """Groups of samples with rewards by chance, so that every group teaches something."""
    args = hook_args(config, rank=0, world_size=1)
    groups = DataSource(args).get_samples(config.prompts_per_step)
    RolloutEngine(config, device).generate([sample for group in groups for sample in group], seed=config.seed)
    chance = random.Random(config.seed)
    for group in groups:
        for sample in group:
            sample.reward = chance.random()
    return groups
