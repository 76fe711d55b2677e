"""The nodes of a test that has several (``NUM_NODES``): which there are, and how a command gets onto each."""

from __future__ import annotations

import os
import sys

from trainci.probe import nodes as probe


def node_count() -> int:
    """How many nodes the test has; it runs on the first of them."""
    return max(1, len(list(filter(None, os.environ.get("TRAINCI_NODES", "").split(",")))))


def are_virtual() -> bool:
    """Whether the nodes are all of one host, and share what the test leased."""
    return not os.environ.get("TRAINCI_NODES_BY")


def on_each_node(command: list[str]) -> list[str]:
    """The words that start ``command`` once on each node, from the first, with its number in TRAINCI_NODE_RANK.

    They end when all have ended, or with the exit code of the first that fails, which ends the others.
    """
    count = node_count()
    if count < 2:
        return command
    start = [sys.executable, "-I", probe.__file__]
    by = os.environ.get("TRAINCI_NODES_BY", "")
    if by != "slurm":
        return [*start, by or "virtual", "--", *command]
    # srun(1). A step shares the allocation with whatever else the test has started.
    srun = ["srun", f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1", "--mpi=none", "--overlap"]
    srun += [
        "--kill-on-bad-exit=1",
        "--export=ALL",
        f"--cpus-per-task={os.environ.get('SLURM_CPUS_PER_TASK', '1')}",
    ]
    return [*srun, *start, "slurm", "--", *command]
