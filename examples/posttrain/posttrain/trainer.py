"""The training loop: roll out, learn, hand the new weights to the rollout."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from posttrain.arguments import BadArguments, Config
from posttrain.backends import init_backend
from posttrain.backends.base import Backend
from posttrain.distributed import gather
from posttrain.grpo import group_advantages
from posttrain.hooks import hook_args, load_function
from posttrain.metrics import MetricsFile, digest
from posttrain.rollout import Rollout, RolloutEngine, pack
from posttrain.task import DataSource, read_problems
from posttrain.training_data import training_data


def train(config: Config, device: torch.device) -> None:
    """Run ``config.num_steps`` updates. Row 0 of the metrics is the state before the first."""
    rank, world_size = dist.get_rank(), dist.get_world_size()
    if config.prompts_per_step % world_size:
        raise BadArguments(f"--prompts-per-step {config.prompts_per_step} must divide by {world_size} ranks")
    problems = read_problems(config.data_path)
    backend = init_backend(config, device)
    engine = RolloutEngine(
        config.model_path,
        temperature=config.temperature,
        max_new_tokens=config.max_new_tokens,
        device=device,
    )
    args = hook_args(
        config,
        rollout_batch_size=config.prompts_per_step // world_size,
        rollout_engine=engine,
        rank=rank,
        world_size=world_size,
    )
    data_source = DataSource(
        problems, config.samples_per_prompt, seed=config.seed, rank=rank, world_size=world_size
    )
    generate_rollout = load_function(config.rollout_function_path)
    metrics = MetricsFile(config.metrics_path) if rank == 0 else None

    def generate(step: int) -> Rollout:
        groups = generate_rollout(args, step, data_source, evaluation=False)
        samples = [sample for group in groups for sample in group]
        return pack(samples, pad=engine.pad, version=engine.version, device=device)

    def report(step: int, row: dict[str, Any]) -> None:
        if metrics:
            metrics.write({"step": step, **row})
            shown = {name: value for name, value in row.items() if not isinstance(value, list)}
            sys.stdout.write(" ".join([f"step {step}", *(f"{k} {v:.4g}" for k, v in shown.items())]) + "\n")
            sys.stdout.flush()

    report(0, _digests(backend, backend.weights_for_rollout()))
    with ThreadPoolExecutor(1, thread_name_prefix="rollout") as pool:
        upcoming = pool.submit(generate, 1)
        for step in range(1, config.num_steps + 1):
            rollout = upcoming.result()
            more = step < config.num_steps
            if more and config.async_rollout:
                upcoming = pool.submit(generate, step + 1)
            row = _update(backend, rollout, args, step)
            wait([upcoming])  # its samples must all come from one version of the weights
            weights = backend.weights_for_rollout()
            engine.update_weights(weights, version=step)
            if more and not config.async_rollout:
                upcoming = pool.submit(generate, step + 1)
            report(step, {**row, **_digests(backend, weights)})


def _update(backend: Backend, rollout: Rollout, args: SimpleNamespace, step: int) -> dict[str, Any]:
    gap = (backend.log_probs(rollout) - rollout.log_probs).abs() * rollout.completion_mask
    data = training_data(rollout, _advantages(rollout, args))
    if args.rollout_data_postprocess_path:
        load_function(args.rollout_data_postprocess_path)(args, step, data)
    result = backend.train_step(rollout, data)
    learning = sum(mask.sum().item() for mask in data["loss_masks"])
    ranks = gather({"reward": rollout.rewards.mean().item(), "gap": gap.max().item(), "tokens": learning})
    return {
        "reward": sum(rank["reward"] for rank in ranks) / len(ranks),
        "loss": result.loss,
        "grad_norm": result.grad_norm,
        **result.metrics,
        "log_prob_gap": max(rank["gap"] for rank in ranks),
        "tokens": sum(rank["tokens"] for rank in ranks),
        "rollout_version": rollout.weights_version,
    }


def _advantages(rollout: Rollout, args: SimpleNamespace) -> Tensor:
    """[B]."""
    if not args.custom_reward_post_process_path:
        return group_advantages(rollout.rewards, args.samples_per_prompt)
    _, rewards = load_function(args.custom_reward_post_process_path)(args, rollout.samples)
    return torch.tensor(rewards, dtype=torch.float32, device=rollout.rewards.device)


def _digests(backend: Backend, weights: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """By rank: a digest of the whole weights as that rank received them, and of its own shard."""
    ranks = gather((digest(weights), digest(backend.local_weights())))
    return {"weights": [whole for whole, _ in ranks], "shards": [shard for _, shard in ranks]}
