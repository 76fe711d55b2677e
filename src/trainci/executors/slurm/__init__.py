"""Runs each test as a job of Slurm, from wherever its commands are: a login node, a laptop, a runner."""

from __future__ import annotations

from trainci.executors.slurm.executor import SlurmExecutor, slurm_executor

__all__ = ["SlurmExecutor", "slurm_executor"]
