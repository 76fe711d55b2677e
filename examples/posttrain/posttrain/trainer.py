"""The training loop: roll out, learn, hand the new weights to the rollout."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import torch
import torch.distributed as dist

from posttrain import checkpoint
from posttrain.arguments import Config
from posttrain.hooks import check_paths
from posttrain.learner import Learner
from posttrain.metrics import MetricsFile
from posttrain.rollout.sampler import Sampler
from posttrain.sample import Rollout


def train(config: Config, device: torch.device) -> None:
    """Run up to ``config.num_steps`` updates. The first row of the metrics is the state before the first."""
    check_paths(config)
    learner = Learner(config, device)
    sampler = Sampler(config, device, learner.policy.replica)
    models = {"policy": learner.policy} | ({"critic": learner.critic} if learner.critic else {})
    start = checkpoint.load(config, models, sampler)
    checkpoints = checkpoint.Checkpoints(config, models, sampler, start)
    report = Report(config)
    weights = learner.policy.weights_for_rollout()
    sampler.update_weights(weights, version=start.step)
    report(start.step, learner.digests(weights))
    steps = range(start.step + 1, config.num_steps + 1)
    with ThreadPoolExecutor(1, thread_name_prefix="rollout") as pool:
        upcoming: Future[Rollout] | None = None
        if start.samples:
            upcoming = pool.submit(Rollout, start.samples, {}, 0.0)
        for step in steps:
            rollout = (upcoming or pool.submit(sampler.rollout, step)).result()
            ahead = config.async_rollout and step + 1 in steps
            upcoming = pool.submit(sampler.rollout, step + 1) if ahead else None
            row = {**sampler.report(step, rollout), **learner.update(rollout.samples, step)}
            if upcoming:
                wait([upcoming])  # its samples must all come from one version of the weights
            weights = learner.policy.weights_for_rollout()
            sampler.update_weights(weights, version=step)
            if config.eval_function_path and step + 1 not in steps:
                row |= sampler.evaluate(step)
            report(step, {**row, **learner.digests(weights)})
            if config.save and (step % config.save_interval == 0 or step + 1 not in steps):
                checkpoints.save(step, upcoming.result().samples if upcoming else None)
    checkpoints.finish()


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
