"""Ends every process of a command, those that left its process group too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainci.host.processes import Process, below, end, marked, processes

GRACE_S = 10.0
"""How long processes have between SIGTERM and SIGKILL."""


class MarkedProcesses:
    """The processes of a command: its process group, whatever carries a mark in its environment, their children.

    A child that called ``setsid``, as torchrun's ranks do, is in no group of its parent, but keeps the mark. One
    that gives itself a title, as Ray's processes do, writes it over its environment, but it has parents.
    """

    def __init__(self) -> None:
        self._name = f"TRAINCI_COMMAND_{uuid.uuid4().hex}"
        self._known: set[Process] = set()
        self._leader: subprocess.Popen[bytes] | None = None

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        output: int | None,
        errors: int | None,
        cwd: str | Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start the command, once: without an input, in a session of its own, and marked in its environment.

        Whatever interrupts us while it starts (^C, a handler that raises) ends it. ``output`` and ``errors`` are
        what ``subprocess`` takes for its streams.

        :raises OSError: it cannot be started.
        """
        try:
            self._leader = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                # Marks of nested commands stand beside each other.
                env={**env, self._name: "1"},
                cwd=cwd,
                start_new_session=True,
            )
        except OSError:
            raise
        except BaseException:
            self.end(0)
            raise
        return self._leader

    def end(self, grace: float | None = None) -> None:
        """SIGTERM to the command's group, then, ``grace`` (GRACE_S) seconds later, SIGKILL to all that is left.

        Returns once every process is gone, or SIGKILL has not ended it in ten seconds. Those in groups of their own
        are left to their parents at first: a launcher such as torchrun ends its ranks itself.
        """
        leader = self._leader

        def left() -> set[Process] | None:
            self._look(leader)
            # Waited for last: as long as it is a zombie, no other process or group can be given its number.
            return self._known if self._known or (leader and leader.poll() is None) else None

        # Before anything is signalled, as long as children can be told by their parents.
        self._look(leader)
        try:
            # Once to the whole group: what it starts to clean up is not to be ended at once.
            if leader and any(each.group == leader.pid for each in self._known):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(leader.pid, signal.SIGTERM)
            end(left, GRACE_S if grace is None else grace, ask=False)
        except BaseException:  # a second ^C cuts the waiting short, not the ending
            end(left, 0)
            raise

    def _look(self, leader: subprocess.Popen[bytes] | None) -> None:
        """Keep of the processes that are known those that still run, and add those that are found now.

        Without a ``leader`` (its start was interrupted) they are known by the mark alone.
        """
        everyone = processes()
        group = -1
        if leader and (leader.returncode is None or all(each.pid != leader.pid for each in everyone)):
            group = leader.pid
        found = {each for each in everyone if each.group == group or each in self._known}
        found.update(marked(self._name, "1", everyone))
        found.update(below([each.pid for each in found], everyone))
        self._known = found
