"""Starts one command on each node of a test: ``python -I nodes.py ON -- COMMAND…``.

ON is ``slurm``, where srun has started this program on each node; ``virtual``, where nodes are processes of this
host that share its TRAINCI_DEVICES; or ``ray:NAME``, where whoever listens at the abstract Unix socket NAME
(unix(7)) starts it on the others (``trainci.executors.ray.member``). The command finds its number in
TRAINCI_NODE_RANK, and torchrun in PET_NODE_RANK. The first of them that fails ends the others; its exit code is
that of all.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

_LOST = 3


def on_slurm(command: list[str]) -> None:
    """Become the command, as the node that srun says we are."""
    os.execvpe(command[0], command, {**os.environ, **_told(int(os.environ["SLURM_PROCID"]))})


def on_virtual(nodes: int, command: list[str]) -> int:
    """Run it on ``nodes`` virtual nodes; the exit code of the first that fails, else 0."""
    devices = list(filter(None, os.environ.get("TRAINCI_DEVICES", "").split(",")))
    share = len(devices) // nodes
    own = ({"TRAINCI_DEVICES": ",".join(devices[rank * share : (rank + 1) * share])} for rank in range(nodes))
    return _all((command, {**each, **_told(rank)}) for rank, each in enumerate(own))


def on_ray(nodes: int, name: str, command: list[str]) -> int:
    """Run it here and, by a process of ours for each of them, on the other nodes, as ``on_virtual`` does."""
    start = [sys.executable, "-I", __file__]
    others = [([*start, f"{rank}:{name}", "--", *command], _told(rank)) for rank in range(1, nodes)]
    return _all([(command, _told(0)), *others])


def there(rank: int, name: str, command: list[str]) -> int:
    """Run it on the node ``rank``: print what it prints, and hang up when we are to end."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(f"\0{name}")
        signal.signal(signal.SIGTERM, lambda *_: line.shutdown(socket.SHUT_WR))
        asked = {"rank": rank, "command": command, "environment": dict(os.environ), "directory": str(Path.cwd())}
        line.sendall(json.dumps(asked).encode() + b"\n")
        with line.makefile("rb") as said:
            while (head := said.readline()) and not head.startswith(b"exit "):
                sys.stdout.buffer.write(said.read(int(head)))
                sys.stdout.buffer.flush()
    return int(head[5:]) if head else _LOST


def _all(commands: Iterable[tuple[list[str], Mapping[str, str]]]) -> int:
    """Run them at once, each with its variables; the exit code of the first that fails, which ends the others."""
    running = [subprocess.Popen(command, env={**os.environ, **variables}) for command, variables in commands]

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


def _main(on: str, command: list[str]) -> int:
    nodes = len(os.environ.get("TRAINCI_NODES", "").split(","))
    kind, _, name = on.partition(":")
    if kind == "slurm":
        on_slurm(command)
    if kind == "virtual":
        return on_virtual(nodes, command)
    return on_ray(nodes, name, command) if kind == "ray" else there(int(kind), name, command)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[3:]))
