"""Ends every process of a command, those that left its process group too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

GRACE_S = 10.0
"""How long processes have between SIGTERM and SIGKILL."""
_LOOK_AGAIN_S = 0.05


@dataclass(frozen=True)
class _Process:
    """A process; ``started``, in the kernel's ticks, tells it from a later one with the same ``pid``."""

    pid: int
    started: int
    parent: int = field(compare=False)
    group: int = field(compare=False)
    environment: list[bytes] = field(compare=False)


class MarkedProcesses:
    """The processes of a command: its process group, whatever carries a mark in its environment, their children.

    A child that called ``setsid``, as torchrun's ranks do, is in no group of its parent, but keeps the mark. One
    that gives itself a title, as Ray's processes do, writes it over its environment, but it has parents.
    """

    def __init__(self) -> None:
        self._name = f"TRAINCI_COMMAND_{uuid.uuid4().hex}"

    @property
    def mark(self) -> dict[str, str]:
        """The variable to start the command with. Marks of nested commands stand beside each other."""
        return {self._name: "1"}

    def end(self, leader: subprocess.Popen[bytes], grace: float | None = None) -> None:
        """SIGTERM to ``leader``'s group, then, ``grace`` (GRACE_S) seconds later, SIGKILL to all that is left.

        Returns once every process is gone. Those in groups of their own are left to their parents at first:
        a launcher such as torchrun ends its ranks itself.
        """
        deadline = time.monotonic() + (GRACE_S if grace is None else grace)
        # Before anything is signalled, as long as children can be told by their parents.
        left = self._alive(leader.pid, set())
        try:
            _signal_group(leader.pid, signal.SIGTERM)
            while time.monotonic() < deadline and (leader.poll() is None or left):
                time.sleep(_LOOK_AGAIN_S)
                left = self._alive(leader.pid, left)
        finally:  # a second ^C cuts the waiting short, not the ending
            _signal_group(leader.pid, signal.SIGKILL)
            # Again and again: a process may start another one while we look.
            while left := self._alive(leader.pid, left):
                for process in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
                time.sleep(_LOOK_AGAIN_S)
            leader.wait()

    def _alive(self, group: int, known: set[_Process]) -> set[_Process]:
        """The processes of the command that run now; ``known`` are those that were seen before."""
        mark = f"{self._name}=1".encode()
        processes = list(_processes())
        found = {p for p in processes if p.group == group or mark in p.environment or p in known}
        pids = {process.pid for process in found}
        while more := [p for p in processes if p.parent in pids and p.pid not in pids]:
            found.update(more)
            pids.update(process.pid for process in more)
        return found


def _processes() -> Iterator[_Process]:
    """Every process that this user may look into, but zombies."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # proc(5): after the name, which may hold anything, comes the third field.
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if fields[0] not in (b"Z", b"X"):
                    environment = (entry / "environ").read_bytes().split(b"\0")
                    yield _Process(int(entry.name), int(fields[19]), int(fields[1]), int(fields[2]), environment)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
