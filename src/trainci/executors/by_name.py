"""The executors by the names that ``--executor`` calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trainci.executors.base import Executor, Wanted
from trainci.executors.local import local_executor
from trainci.executors.ray import ray_executor
from trainci.executors.slurm import slurm_executor

# One that imports a library of its own does so when it is called.
EXECUTORS: Mapping[str, Callable[[Wanted], Executor]] = {
    "local": local_executor,
    "ray": ray_executor,
    "slurm": slurm_executor,
}
DEFAULT = "local"
