"""Saves and loads a model and its optimizer with Megatron's dist_checkpointing, in any layout of ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from megatron.core import dist_checkpointing
from megatron.core.dist_checkpointing.strategies.async_utils import AsyncCallsQueue
from megatron.core.models.gpt import GPTModel
from megatron.core.optimizer import ChainedOptimizer

# Left to itself, Megatron-Core 0.19 saves with nvidia-resiliency-ext; 0.16 knows its own way only.
_OWN_WAY = {"async_strategy": "mcore"} if "async_strategy" in signature(dist_checkpointing.save).parameters else {}
# The optimizer's state by whole parameters, and not by one layout's flat buffers.
_METADATA = {"distrib_optim_sharding_type": "fully_reshardable", "chained_optim_avoid_prefix": True}


class Saves:
    """The saves of one model; at most one asynchronous one goes on at a time."""

    def __init__(self) -> None:
        self._queue = AsyncCallsQueue()

    def start(self, model: GPTModel, optimizer: ChainedOptimizer, directory: Path, *, asynchronous: bool) -> None:
        """See ``posttrain.backends.base.Backend.save``; an asynchronous one is written by a forked process."""
        state = _sharded_state(model, optimizer, is_loading=False)
        request = dist_checkpointing.save(state, str(directory), async_sharded_save=asynchronous, **_OWN_WAY)
        if request:
            self._queue.schedule_async_request(request)

    def finish(self) -> None:
        """See ``posttrain.backends.base.Backend.finish_save``."""
        self._queue.maybe_finalize_async_calls(blocking=True)


def load(model: GPTModel, optimizer: ChainedOptimizer, directory: Path) -> None:
    """See ``posttrain.backends.base.Backend.load``."""
    state = dist_checkpointing.load(_sharded_state(model, optimizer, is_loading=True), str(directory))
    model.load_state_dict(state["model"])
    parts = optimizer.chained_optimizers
    states = (
        [state["optimizer"]] if len(parts) == 1 else [state["optimizer"][number] for number in range(len(parts))]
    )
    for part, part_state in zip(parts, states, strict=True):
        moments = part_state.pop("param_state")
        part.load_state_dict(part_state)
        with _steps_aside(part.optimizer):
            part.load_parameter_state_from_fully_reshardable(moments)


@contextmanager
def _steps_aside(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Take each parameter's count of steps out of torch's Adam, and give each its own again.

    Megatron-Core 0.16 thinks of Adams that count by group. It looks for ``step`` among the saved moments, where it
    never is, and leaves one tensor to all parameters, which then counts each step once a parameter.
    """
    steps = {parameter: state.pop("step") for parameter, state in optimizer.state.items()}
    yield
    for parameter, step in steps.items():
        optimizer.state[parameter]["step"] = step.clone()


def _sharded_state(model: GPTModel, optimizer: ChainedOptimizer, *, is_loading: bool) -> dict[str, Any]:
    state = {"model": model.sharded_state_dict(metadata=dict(_METADATA))}
    state["optimizer"] = optimizer.sharded_state_dict(dict(state), is_loading, metadata=dict(_METADATA))
    return state
