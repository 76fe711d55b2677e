"""The state of Adam between steps: all of it there for checkpoints, in host memory for ``--optimizer-on-cpu``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

_MOMENTS = ("exp_avg", "exp_avg_sq")


class AdamState:
    """The state of ``optimizers``, filled in from the start; torch would wait for a parameter's first gradient."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], *, on_cpu: bool):
        self._optimizers = optimizers
        self._on_cpu = on_cpu
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    moments = {name: torch.zeros_like(parameter) for name in _MOMENTS}
                    optimizer.state[parameter] = {"step": torch.tensor(0.0), **moments}
        with self.on_device():
            pass

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """The state is beside the parameters; with ``on_cpu``, inside this block only."""
        if self._on_cpu:
            self._move(to_parameters=True)
        yield
        if self._on_cpu:
            self._move(to_parameters=False)

    def _move(self, *, to_parameters: bool) -> None:
        for optimizer in self._optimizers:
            for parameter, state in optimizer.state.items():
                for name in _MOMENTS:
                    state[name] = state[name].to(parameter.device if to_parameters else "cpu")
