"""The training loop: roll out, learn, hand the new weights to the rollout."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from posttrain import checkpoint
from posttrain.arguments import BadArguments, Config
from posttrain.distillation import ask_teacher
from posttrain.distributed import share
from posttrain.hooks import hook_args, load_function
from posttrain.learner import Learner
from posttrain.metrics import MetricsFile
from posttrain.rollout import RolloutEngine
from posttrain.sample import Sample


def train(config: Config, device: torch.device) -> None:
    """Run up to ``config.num_steps`` updates. The first row of the metrics is the state before the first."""
    learner = Learner(config, device)
    sampler = Sampler(config, device, learner)
    models = {"policy": learner.policy} | ({"critic": learner.critic} if learner.critic else {})
    start = checkpoint.load(config, models, sampler)
    checkpoints = checkpoint.Checkpoints(config, models, sampler, start)
    report = Report(config)
    weights = learner.policy.weights_for_rollout()
    sampler.update_weights(weights, version=start.step)
    report(start.step, learner.digests(weights))
    steps = range(start.step + 1, config.num_steps + 1)
    with ThreadPoolExecutor(1, thread_name_prefix="rollout") as pool:
        upcoming: Future[Any] | None = pool.submit(lambda: start.samples) if start.samples else None
        for step in steps:
            samples = (upcoming or pool.submit(sampler.samples, step)).result()
            ahead = config.async_rollout and step + 1 in steps
            upcoming = pool.submit(sampler.samples, step + 1) if ahead else None
            row = learner.update(samples, step)
            if upcoming:
                wait([upcoming])  # its samples must all come from one version of the weights
            weights = learner.policy.weights_for_rollout()
            sampler.update_weights(weights, version=step)
            versions = {"rollout_version": min(sample.weights_version for sample in samples)}
            report(step, {**row, **versions, **learner.digests(weights)})
            if config.save and (step % config.save_interval == 0 or step + 1 not in steps):
                checkpoints.save(step, upcoming.result() if upcoming else None)
    checkpoints.finish()


class Sampler:
    """The rollouts of this rank's replica: its leader samples, the others are handed what came out."""

    def __init__(self, config: Config, device: torch.device, learner: Learner):
        self.replica = replica = learner.policy.replica
        if config.prompts_per_step % replica.count:
            raise BadArguments(
                f"--prompts-per-step {config.prompts_per_step} must divide by {replica.count} replicas"
            )
        self._teacher_url = config.teacher_url
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

    def save(self, directory: Path, step: int) -> None:
        """Write the place in the data after ``step`` into ``directory``."""
        if self._engine:
            self._args.save = directory
            self._data_source.save(step)

    def load(self, directory: Path, step: int) -> None:
        """Go on from the place that ``save`` wrote."""
        if self._engine:
            self._args.load = directory
            self._data_source.load(step)

    def samples(self, step: int) -> list[Sample]:
        """The samples that ``step`` trains on, the groups of a prompt side by side."""
        samples = None
        if self._engine:
            answer = self._rollout(self._args, step, self._data_source, evaluation=False)
            samples = [sample for group in getattr(answer, "samples", answer) for sample in group]
            if self._teacher_url:
                ask_teacher(self._teacher_url, samples)
        return share(samples, self.replica.group, self.replica.leader)


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
