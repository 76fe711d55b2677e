"""Starts one command on each node of a test: ``python -I nodes.py ON -- COMMAND…``.

ON is ``slurm``, where srun has started this program on each node, or the number of virtual nodes, which are
processes of this host: each gets its share of TRAINCI_DEVICES. The command finds its number in TRAINCI_NODE_RANK,
and torchrun in PET_NODE_RANK. The first of them that fails ends the others; its exit code is that of all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys


def on_slurm(command: list[str]) -> None:
    """Become the command, as the node that srun says we are."""
    os.execvpe(command[0], command, {**os.environ, **_told(int(os.environ["SLURM_PROCID"]))})


def on_virtual(nodes: int, command: list[str]) -> int:
    """Run it on ``nodes`` virtual nodes; the exit code of the first that fails, else 0."""
    devices = list(filter(None, os.environ.get("TRAINCI_DEVICES", "").split(",")))
    share = len(devices) // nodes
    running = []
    for rank in range(nodes):
        own = {"TRAINCI_DEVICES": ",".join(devices[rank * share : (rank + 1) * share])}
        running.append(subprocess.Popen(command, env={**os.environ, **own, **_told(rank)}))

    def end_all(*_: object) -> None:
        for process in running:
            process.terminate()

    signal.signal(signal.SIGTERM, end_all)
    first = 0
    left = {process.pid: process for process in running}
    while left:
        pid, status = os.wait()
        process = left.pop(pid, None)
        if process is None:
            continue
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and not first:
            first = process.returncode
            for other in left.values():
                other.terminate()
    return first if first >= 0 else 128 - first


def _told(rank: int) -> dict[str, str]:
    return {"TRAINCI_NODE_RANK": str(rank), "PET_NODE_RANK": str(rank)}


if __name__ == "__main__":
    on, _, *words = sys.argv[1:]
    if on == "slurm":
        on_slurm(words)
    sys.exit(on_virtual(int(on), words))
