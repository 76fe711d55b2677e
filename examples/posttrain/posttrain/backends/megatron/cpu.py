"""What lets Megatron-Core train on a host with no GPU, over gloo.

Megatron-Core asks torch.cuda for its device, streams and random states even where none of them matters. ``install``
answers for the CPU instead; on a host with a GPU it does nothing.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_CPU = torch.device("cpu")


class _TensorsOnCpu(TorchFunctionMode):
    """Makes on the CPU each tensor that is asked for on "cuda", and calls a CPU tensor's type a CUDA one.

    The optimizer sorts parameters by ``Tensor.type()`` and knows CUDA types only. Pinned memory needs a GPU.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if str(kwargs.get("device")).startswith("cuda"):
            kwargs["device"] = _CPU
        kwargs.pop("pin_memory", None)
        result = func(*args, **kwargs)
        if func is torch.Tensor.type and isinstance(result, str):
            return result.replace("torch.", "torch.cuda.", 1)
        return result


@functools.cache
def install() -> None:
    """Put the shims in place, once, for the rest of the process and of this thread; before any model is built."""
    if torch.cuda.is_available():
        return
    torch.cuda.current_device = lambda: _CPU
    torch.cuda.synchronize = lambda _device=None: None
    torch.cuda.current_stream = lambda _device=None: None
    torch.Tensor.cuda = lambda self, *_args, **_kwargs: self
    _TensorsOnCpu().__enter__()
    _without_random_states()
    _without_streams()


def _without_random_states() -> None:
    """All dropout is zero, so that tensor-parallel ranks need no random states of their own."""
    from megatron.core.tensor_parallel.random import CudaRNGStatesTracker

    CudaRNGStatesTracker.add = lambda _self, _name, _seed: None
    CudaRNGStatesTracker.fork = lambda _self, _name=None: contextlib.nullcontext()


def _without_streams() -> None:
    """The all-to-all dispatcher copies its counts to the host on a side stream; here they are there already."""
    from megatron.core.transformer.moe.token_dispatcher import MoEAlltoAllTokenDispatcher

    def counts_on_host(
        self: Any, _point: str, tokens_per_expert: torch.Tensor | None = None
    ) -> torch.Tensor | None:
        for name in ("input_splits", "output_splits", "output_splits_tp"):
            splits = getattr(self, name)
            if isinstance(splits, torch.Tensor):
                setattr(self, name, splits.numpy())
        return tokens_per_expert

    MoEAlltoAllTokenDispatcher.cuda_dtoh_stream = "none"
    MoEAlltoAllTokenDispatcher._maybe_dtoh_and_synchronize = counts_on_host
