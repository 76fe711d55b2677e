"""Training engines. A backend is a module with ``init(config, device, objective) -> Backend``."""

from __future__ import annotations

import importlib

import torch

from posttrain.arguments import BadArguments, Config
from posttrain.backends.base import Backend
from posttrain.training.objective import Objective

BACKENDS = {
    "fsdp": "posttrain.backends.fsdp",
    "megatron": "posttrain.backends.megatron",
}


def init_backend(config: Config, device: torch.device, objective: Objective) -> Backend:
    """Start the backend that ``config`` names; only its module is imported.

    :raises BadArguments: there is no such backend, or it cannot do what ``config`` asks for.
    """
    if config.backend not in BACKENDS:
        raise BadArguments(f"there is no --backend {config.backend!r}; there are: {', '.join(BACKENDS)}")
    return importlib.import_module(BACKENDS[config.backend]).init(config, device, objective)
