"""Runs each test as a job of Slurm, from wherever its commands are: a login node, a laptop, a runner.

The job runs trainci's own lease on its node, as a test of this host does: it keeps to what Slurm gave, enforces the
time limit and ends the whole tree. What it prints and reports goes into files beside the log, on the file system
that the nodes share with this host; nothing else joins the two, so that a job outlives whoever submitted it.
"""

from __future__ import annotations

from trainci.executors.slurm.executor import SlurmExecutor, slurm_executor

__all__ = ["SlurmExecutor", "slurm_executor"]
