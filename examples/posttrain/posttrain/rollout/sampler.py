"""The rollouts of this rank's replica: its leader samples, the others are handed what came out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from posttrain.arguments import BadArguments, Config
from posttrain.backends.base import Replica
from posttrain.distributed import gather, share
from posttrain.hooks import hook_args, load_function
from posttrain.rollout import saved
from posttrain.rollout.distillation import ask_teacher
from posttrain.rollout.engine import RolloutEngine
from posttrain.sample import Rollout, members


class Sampler:
    """Runs the hooks that handle samples. All ranks call each method together."""

    def __init__(self, config: Config, device: torch.device, replica: Replica):
        if config.prompts_per_step % replica.count:
            raise BadArguments(
                f"--prompts-per-step {config.prompts_per_step} must divide by {replica.count} replicas"
            )
        self._config = config
        self.replica = replica
        self._leads = replica.leader == dist.get_rank()
        self._engine = RolloutEngine(config, device) if self._leads and not config.load_rollout else None
        self._args = hook_args(
            config,
            rollout_batch_size=config.prompts_per_step // replica.count,
            rollout_engine=self._engine,
            rank=replica.index,
            world_size=replica.count,
        )
        self._data_source = load_function(config.data_source_path)(self._args) if self._engine else None

    def update_weights(self, weights: Any, version: int) -> None:
        """Sample with ``weights`` from now on."""
        if self._engine:
            self._engine.update_weights(weights, version)

    def rollout(self, step: int) -> Rollout:
        """What ``step`` trains on, the groups of a prompt side by side.

        :raises BadArguments: ``--load-rollout`` has no rollout of this step and replica.
        """
        rollout = None
        if self._leads:
            load, save = self._config.load_rollout, self._config.save_rollout
            rollout = saved.read(load, step, self.replica) if load else self._sampled(step)
            if save:
                saved.write(save, step, self.replica, rollout)
        return share(rollout, self.replica.group, self.replica.leader)

    def report(self, step: int, rollout: Rollout) -> dict[str, Any]:
        """Numbers about ``rollout`` over all replicas; none where the log hook stands in for them."""
        log, logged = self._config.custom_rollout_log_function_path, False
        if log and self._leads:
            logged = load_function(log)(step, self._args, rollout.samples, rollout.metrics, rollout.seconds)
        versions = [sample.weights_version for sample in rollout.samples]
        reward = sum(sample.reward for sample in rollout.samples) / len(rollout.samples)
        count = len(rollout.samples)
        own = {"logged": logged, "reward": reward, "oldest": min(versions), "newest": max(versions), "count": count}
        told = over_ranks(gather(own), self._config.micro_batch_size)
        return {**rollout.metrics, **told} if told else {}

    def evaluate(self, step: int) -> dict[str, float]:
        """Mean rewards by data set, with the current weights of one replica."""
        means = None
        if self._leads and self.replica.index == 0:
            means = self._evaluated(step)
        return next(found for found in gather(means) if found is not None)

    def save(self, directory: Path, step: int) -> None:
        """Write the place in the data after ``step`` into ``directory``."""
        if self._data_source:
            self._args.save = directory
            self._data_source.save(step)

    def load(self, directory: Path, step: int) -> None:
        """Go on from the place that ``save`` wrote."""
        if self._data_source:
            self._args.load = directory
            self._data_source.load(step)

    def _sampled(self, step: int) -> Rollout:
        started = time.monotonic()
        self._args.rollout_id = step
        generate = load_function(self._config.rollout_function_path)
        answer = generate(self._args, step, self._data_source, evaluation=False)
        samples = [sample for group in getattr(answer, "samples", answer) for sample in members(group)]
        if self._config.teacher_url:
            ask_teacher(self._config.teacher_url, samples)
        return Rollout(samples, getattr(answer, "metrics", None) or {}, time.monotonic() - started)

    def _evaluated(self, step: int) -> dict[str, float]:
        evaluation, log = self._config.eval_function_path, self._config.custom_eval_rollout_log_function_path
        answer = load_function(evaluation or "")(self._args, step, self._data_source, evaluation=True)
        data, metrics = getattr(answer, "data", answer), getattr(answer, "metrics", None) or {}
        if log and load_function(log)(step, self._args, data, metrics):
            return {}
        rewards = {name: result["rewards"] for name, result in data.items()}
        return {**metrics, **{f"eval/{name}": sum(values) / len(values) for name, values in rewards.items()}}


def over_ranks(ranks: Sequence[Mapping[str, Any]], micro_batch_size: int) -> dict[str, Any]:
    """What is reported of the rollouts of all ``ranks``; nothing where a log hook of one stands in for it.

    :raises BadArguments: there are micro-batches, and replicas made different numbers of samples.
    """
    counts = sorted({rank["count"] for rank in ranks})
    if micro_batch_size and len(counts) > 1:
        raise BadArguments(f"replicas made {counts} samples: --micro-batch-size wants as many of each")
    if any(rank["logged"] for rank in ranks):
        return {}
    return {
        "reward": sum(rank["reward"] for rank in ranks) / len(ranks),
        "rollout_version": min(rank["oldest"] for rank in ranks),
        "rollout_version_max": max(rank["newest"] for rank in ranks),
    }
