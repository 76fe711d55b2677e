"""The training loop: roll out, learn, hand the new weights to the rollout."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import torch
import torch.distributed as dist

from posttrain.arguments import BadArguments, Config
from posttrain.distributed import share
from posttrain.hooks import hook_args, load_function
from posttrain.learner import Learner
from posttrain.metrics import MetricsFile
from posttrain.rollout import RolloutEngine
from posttrain.sample import Sample


def train(config: Config, device: torch.device) -> None:
    """Run ``config.num_steps`` updates. Row 0 of the metrics is the state before the first."""
    learner = Learner(config, device)
    sampler = Sampler(config, device, learner)
    report = Report(config)
    weights = learner.policy.weights_for_rollout()
    sampler.update_weights(weights, version=0)
    report(0, learner.digests(weights))
    with ThreadPoolExecutor(1, thread_name_prefix="rollout") as pool:
        upcoming: Future[list[Sample]] = pool.submit(sampler.samples, 1)
        for step in range(1, config.num_steps + 1):
            samples = upcoming.result()
            more = step < config.num_steps
            if more and config.async_rollout:
                upcoming = pool.submit(sampler.samples, step + 1)
            row = learner.update(samples, step)
            wait([upcoming])  # its samples must all come from one version of the weights
            weights = learner.policy.weights_for_rollout()
            sampler.update_weights(weights, version=step)
            if more and not config.async_rollout:
                upcoming = pool.submit(sampler.samples, step + 1)
            versions = {"rollout_version": min(sample.weights_version for sample in samples)}
            report(step, {**row, **versions, **learner.digests(weights)})


class Sampler:
    """The rollouts of this rank's replica: its leader samples, the others are handed what came out."""

    def __init__(self, config: Config, device: torch.device, learner: Learner):
        self._replica = replica = learner.policy.replica
        if config.prompts_per_step % replica.count:
            raise BadArguments(
                f"--prompts-per-step {config.prompts_per_step} must divide by {replica.count} replicas"
            )
        self._engine: RolloutEngine | None = None
        if replica.leader != dist.get_rank():
            return
        self._engine = RolloutEngine(config, device)
        self._args = hook_args(
            config,
            rollout_batch_size=config.prompts_per_step // replica.count,
            rollout_engine=self._engine,
            rank=replica.index,
            world_size=replica.count,
        )
        self._rollout = load_function(config.rollout_function_path)
        self._data_source = load_function(config.data_source_path)(self._args)

    def update_weights(self, weights: Any, version: int) -> None:
        """Sample with ``weights`` from now on."""
        if self._engine:
            self._engine.update_weights(weights, version)

    def samples(self, step: int) -> list[Sample]:
        """The samples that ``step`` trains on, the groups of a prompt side by side."""
        samples = None
        if self._engine:
            answer = self._rollout(self._args, step, self._data_source, evaluation=False)
            samples = [sample for group in getattr(answer, "samples", answer) for sample in group]
        return share(samples, self._replica.group, self._replica.leader)


class Report:
    """Rank 0 writes each step's row into the metrics and prints its numbers."""

    def __init__(self, config: Config):
        self._file = MetricsFile(config.metrics_path) if dist.get_rank() == 0 else None

    def __call__(self, step: int, row: dict[str, Any]) -> None:
        if self._file:
            self._file.write({"step": step, **row})
            numbers = [f"{name} {value:.4g}" for name, value in row.items() if isinstance(value, float)]
            sys.stdout.write(" ".join([f"step {step}", *numbers]) + "\n")
            sys.stdout.flush()
