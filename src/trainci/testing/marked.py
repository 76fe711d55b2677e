"""Ends every process of a command, those that left its process group too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

GRACE_S = 10.0
"""How long processes have between SIGTERM and SIGKILL."""
_LOOK_AGAIN_S = 0.05


class MarkedProcesses:
    """The processes that carry a mark in their environment, as a command's descendants do.

    A child that called ``setsid``, as torchrun's ranks do, is in no group of its parent, but keeps the mark.
    """

    def __init__(self) -> None:
        self._name = f"TRAINCI_COMMAND_{uuid.uuid4().hex}"

    @property
    def mark(self) -> dict[str, str]:
        """The variable to start the command with. Marks of nested commands stand beside each other."""
        return {self._name: "1"}

    def end(self, leader: subprocess.Popen[bytes]) -> None:
        """SIGTERM to ``leader``'s group, then, GRACE_S later, SIGKILL to all that is left.

        Returns once every process is gone. Those in groups of their own are left to their parents at first:
        a launcher such as torchrun ends its ranks itself.
        """
        deadline = time.monotonic() + GRACE_S
        try:
            _signal_group(leader.pid, signal.SIGTERM)
            while time.monotonic() < deadline and (leader.poll() is None or self._alive()):
                time.sleep(_LOOK_AGAIN_S)
        finally:  # a second ^C cuts the waiting short, not the ending
            _signal_group(leader.pid, signal.SIGKILL)
            # Again and again: a process may start another one while we look.
            while left := self._alive():
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(_LOOK_AGAIN_S)
            leader.wait()

    def _alive(self) -> list[int]:
        mark = f"{self._name}=1".encode()
        return [pid for pid, environment in _environments() if mark in environment.split(b"\0")]


def _environments() -> Iterator[tuple[int, bytes]]:
    """Each process that this user may look into, with the environment it was started with; no zombies."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "environ").read_bytes()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
