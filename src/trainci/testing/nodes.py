"""The nodes of a test that has several (``NUM_NODES``): which there are, and how a command gets onto each."""

from __future__ import annotations

import os
import sys

from trainci.probe import nodes as probe


def node_names() -> list[str]:
    """The names of the test's nodes, the first of which it runs on; none for a test of one node."""
    return list(filter(None, os.environ.get("TRAINCI_NODES", "").split(",")))


def on_each_node(command: list[str]) -> list[str]:
    """The words that start ``command`` once on each node, from the first, with its number in TRAINCI_NODE_RANK.

    They end when all have ended, or with the exit code of the first that fails, which ends the others.
    """
    count = len(node_names())
    if count < 2:
        return command
    start = [sys.executable, "-I", probe.__file__]
    if os.environ.get("TRAINCI_NODES_BY") != "slurm":
        return [*start, str(count), "--", *command]
    # srun(1). A step shares the allocation with whatever else the test has started.
    srun = ["srun", f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1", "--mpi=none", "--overlap"]
    srun += [
        "--kill-on-bad-exit=1",
        "--export=ALL",
        f"--cpus-per-task={os.environ.get('SLURM_CPUS_PER_TASK', '1')}",
    ]
    return [*srun, *start, "slurm", "--", *command]
