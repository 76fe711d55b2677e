"""Hooks that write down what a run computes, for ``_held`` to compare with the reference.

They run in every rank, and write the first steps of a run into the directory that RECORD_DIRECTORY names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_KEYS = ("tokens", "loss_masks", "log_probs", "own_log_probs", "advantages", "values", "own_values", "returns")
_step_of: dict[int, int] = {}
"""By optimizer: the step that it takes next."""


def record_data(args: Any, rollout_id: int, data: dict[str, Any]) -> None:
    """rollout-data-postprocess-path: what each token is credited with, on every rank."""
    if rollout_id <= _last_step():
        kept = {name: [torch.as_tensor(row).cpu() for row in data[name]] for name in _KEYS if name in data}
        _write(f"data-{rollout_id}-rank-{dist.get_rank()}", {**kept, "sample_indices": data["sample_indices"]})


def record_moved(args: Any, rollout_id: int, data: dict[str, Any]) -> None:
    """The same, and then what the policy and the critic said before the update moves away from what they say now.

    One update a rollout would leave both where they are: their clips would never be tried.
    """
    for name in ("log_probs", "values"):
        if name in data:
            data[f"own_{name}"] = data[name]
            data[name] = [
                row + _waves(index, row) for index, row in zip(data["sample_indices"], data[name], strict=True)
            ]
    record_data(args, rollout_id, data)


def _waves(index: int, row: Tensor) -> Tensor:
    return 0.5 * torch.sin(torch.arange(len(row), device=row.device) * 2.0 + index)


def record_step(args: Any, rollout_id: int, step_id: int, model: Any, optimizer: Any, scheduler: Any) -> None:
    """custom-megatron-before-train-step-hook-path: gradients as the optimizer gets them, weights before and after.

    Megatron's are those before clipping, FSDP's those after it.
    """
    first = id(optimizer) not in _step_of
    _step_of[id(optimizer)] = rollout_id
    if not first:
        return
    critic = args.advantage_estimator == "ppo" and len(_step_of) == 1  # it is trained first
    whole = _fsdp if args.backend == "fsdp" else _megatron
    take_step = optimizer.step

    def recorded_step(*arguments: Any) -> Any:
        step = _step_of[id(optimizer)]
        if step > _last_step():
            return take_step(*arguments)
        before = whole(args, model[0], gradients=False, critic=critic)
        gradients = whole(args, model[0], gradients=True, critic=critic)
        bits = _bits_of_gradients(model[0])
        answer = take_step(*arguments)
        after = whole(args, model[0], gradients=False, critic=critic)
        name = "critic" if critic else "policy"
        if args.backend == "fsdp" or dist.get_rank() == 0:
            update = {"before": before, "gradients": gradients, "after": after, "bits": bits}
            _write(f"{name}-{step}-rank-{dist.get_rank()}", update)
        return answer

    optimizer.step = recorded_step


def _last_step() -> int:
    return int(os.environ["RECORD_STEPS"])


def _write(name: str, what: Mapping[str, Any]) -> None:
    torch.save(what, Path(os.environ["RECORD_DIRECTORY"]) / f"{name}.pt")


def _bits_of_gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    """How wide the numbers are that they were summed in; Megatron sums them beside the parameters."""
    summed = {name: getattr(value, "main_grad", value.grad) for name, value in model.named_parameters()}
    return {name: torch.tensor([torch.finfo(one.dtype).bits]) for name, one in summed.items() if one is not None}


def _fsdp(args: Any, model: torch.nn.Module, *, gradients: bool, critic: bool) -> dict[str, Tensor]:
    """This rank's shard: with messages between the ranks, a rank that takes no step would let the others wait."""
    return {
        name: (value.grad if gradients else value).detach().to_local().float().cpu().clone()
        for name, value in model.named_parameters()
        if not gradients or value.grad is not None
    }


def _megatron(args: Any, model: Any, *, gradients: bool, critic: bool) -> dict[str, Tensor]:
    from posttrain.backends.megatron import convert, weights
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(args.model_path)
    names = [name for pair in convert.pairs(config) for name in pair.megatron]
    head = ["output_layer.weight"] if critic else []
    module = model.module
    module = getattr(module, "module", module)  # within Float16Module
    vocabulary = config.get_text_config().vocab_size
    with _gradients_for_weights(model, module) if gradients else nullcontext():
        found = weights.whole(module, [*(name for name in names if name not in head), *head], vocabulary)
        found = {name: value.clone().float().cpu() for name, value in found.items()}
    if not critic:
        return convert.to_transformers(found, config)
    values = found.pop("output_layer.weight")
    if not config.tie_word_embeddings:
        found["output_layer.weight"] = torch.zeros(())
    return {**convert.to_transformers(found, config), "lm_head.weight": values}


@contextmanager
def _gradients_for_weights(ddp: Any, module: torch.nn.Module) -> Iterator[None]:
    """Each parameter holds its gradient; the distributed optimizer leaves every rank a part of them."""
    for group in [*ddp.bucket_groups, *ddp.expert_parallel_bucket_groups]:
        ranks = group.intra_distributed_optimizer_instance_group
        size, rank = ranks.size(), ranks.rank()
        for bucket in group.buckets:
            parts = list(bucket.grad_data.chunk(size))
            dist.all_gather(parts, parts[rank].clone(), group=ranks)
    kept = {parameter: parameter.data for parameter in module.parameters()}
    for parameter in kept:
        # In its own type: with data of another one, torch forgets who asked to be told of its gradients.
        parameter.data = parameter.main_grad.to(parameter.dtype, copy=True)
    yield
    for parameter, data in kept.items():
        parameter.data = data
