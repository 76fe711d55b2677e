"""``torchrun … tests/_layouts.py``: one update in every layout that the ranks can take.

Takes the options of train.py, apart from those of the layout. A row for each layout goes into the metrics; the
first rows are FSDP's.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path.cwd()))  # where the package is

import torch
import torch.distributed as dist
from posttrain.arguments import Config, parse_args
from posttrain.backends.base import Replica
from posttrain.distributed import process_group
from posttrain.hooks import hook_args
from posttrain.learner import Learner
from posttrain.metrics import append
from posttrain.model import experts_of, load_model
from posttrain.rollout import saved
from posttrain.rollout.engine import RolloutEngine
from posttrain.sample import Rollout
from posttrain.task.data_source import DataSource
from transformers import PretrainedConfig

ALL = Replica(0, 1, group=None, leader=0)
"""Whose samples are those of all."""
AXES = ("tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel")


def layouts(world: int, model: PretrainedConfig) -> Iterator[dict[str, int]]:
    """Every tensor × pipeline × context × expert parallel layout of ``world`` ranks that ``model`` divides into."""
    sizes = [size for size in range(1, world + 1) if world % size == 0]
    for tensor in (size for size in sizes if model.num_key_value_heads % size == 0):
        for pipeline in (size for size in sizes if model.num_hidden_layers % size == 0):
            for context in (size for size in sizes if world % (tensor * pipeline * size) == 0):
                for expert in (size for size in sizes if experts_of(model) % size == 0):
                    if world // pipeline % expert == 0:
                        yield dict(zip(AXES, (tensor, pipeline, context, expert), strict=True))


def check(config: Config) -> None:
    """Write a row for each layout and each way to average the loss.

    Each layout has a fork of this process, with the imports paid once: Megatron's groups cannot be undone, and each
    keeps threads that wake all the time. On GPUs a fork starts CUDA and NCCL again, which takes 7 seconds. Several
    at once take longer: their messages between the same GPUs wait for each other.

    :raises SystemExit: a fork failed; it has said why.
    """
    importlib.import_module("posttrain.backends.megatron.backend")
    model = load_model(config.model_path, torch.device("cpu")).config.get_text_config()
    world = int(os.environ["WORLD_SIZE"])
    runs: list[dict[str, Any]] = [{"backend": "fsdp"}]
    runs += [{"backend": "megatron", **layout} for layout in layouts(world, model)]
    config.metrics_path.unlink(missing_ok=True)
    in_forks(_drawn(config), [partial(_sample, config)])
    in_forks(config.metrics_path, [partial(_rows, config, 2 * number, run) for number, run in enumerate(runs)])


def in_forks(beside: Path, actions: Sequence[Callable[[str], None]]) -> None:
    """Run each action in a fork of every rank; it is told where the forks of one action meet: ``beside`` a path.

    torchrun's own store still names the ranks of the forks before.

    :raises SystemExit: a fork failed; it has said why.
    """
    for number, action in enumerate(actions):
        meeting_point = beside.absolute().with_name(f"{beside.name}.ranks-{number}")
        child = os.fork()
        if child == 0:
            _run_in_fork(partial(action, f"file://{meeting_point}"))
        _, status = os.waitpid(child, 0)
        if os.environ["RANK"] == "0":
            meeting_point.unlink(missing_ok=True)
        if status:
            sys.exit(os.waitstatus_to_exitcode(status) or 1)


def _run_in_fork(action: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        action()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _leave_together() -> NoReturn:
    """End this fork when all of them are done: none may still be looking for this one.

    Undoing groups is half of what a layout costs on GPUs, and they go with the process anyway.
    """
    dist.barrier()
    os._exit(0)


def _rows(config: Config, first: int, layout: dict[str, Any], meet_at: str) -> None:
    with process_group(meet_at) as device:
        samples = saved.read(_drawn(config), 1, ALL).samples
        for number, per_token in enumerate((False, True), first):
            options = {**layout, "per_token_loss": per_token}
            learner = Learner(dataclasses.replace(config, **options), device)
            replica = learner.policy.replica
            own = [sample for sample in samples if sample.group_index % replica.count == replica.index]
            row = {**options, "data_parallel": replica.count, **learner.update(own, 1)}
            if dist.get_rank() == 0:
                append(config.metrics_path, {"step": number, **row})
        _leave_together()


def _sample(config: Config, meet_at: str) -> None:
    """Groups of samples with rewards by chance, so that every group teaches something, for all forks to read."""
    with process_group(meet_at) as device:
        if dist.get_rank() == 0:
            groups = DataSource(hook_args(config, rank=0, world_size=1)).get_samples(config.prompts_per_step)
            samples = [sample for group in groups for sample in group]
            RolloutEngine(config, device).generate(samples, seed=config.seed)
            chance = random.Random(config.seed)
            for sample in samples:
                sample.reward = chance.random()
            saved.write(_drawn(config), 1, ALL, Rollout(samples, {}, 0.0))
        _leave_together()


def _drawn(config: Config) -> Path:
    return config.metrics_path.with_suffix(".rollouts")


if __name__ == "__main__":
    check(parse_args())
