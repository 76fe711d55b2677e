"""Tells what happens: sentences for a person on stderr, and for an executor one JSON object a line."""

from __future__ import annotations

import os
import sys
import time

from trainci.lease.protocol import Ended, Granted, Report, Started, Waiting, dump
from trainci.lease.queue.acquire import Position
from trainci.lease.queue.hold import Lease
from trainci.lease.store.records import FOREVER
from trainci.lease.supervise.wrapper import Outcome

# The name under which `gpu-lock-exec` speaks: that of the script that it replaces, whose lines others may read.
LOCK_EXEC = "gpu_lock_exec"


class Reporter:
    """``status_fd`` gets the JSON lines (-1: nobody does); ``count`` is how many devices were asked for."""

    def __init__(self, program: str, status_fd: int, count: int) -> None:
        self._program = program
        self._status_fd = status_fd
        self._count = count
        self._waited = False

    def say(self, sentence: str) -> None:
        """One line for a person."""
        sys.stderr.write(f"{self._program}: {sentence}\n")
        sys.stderr.flush()

    def waiting(self, position: Position) -> None:
        """The wait begins."""
        self._waited = True
        self._emit(Waiting(position.ahead))
        if position.note:
            self.say(f"waiting for {self._count} devices: {position.note}.")
            return
        known = position.start < FOREVER
        start = time.strftime("; starts by %H:%M:%S", time.localtime(position.start)) if known else ""
        self.say(f"waiting for {self._count} devices, {position.ahead} requests ahead{start}.")

    def granted(self, lease: Lease) -> None:
        """The devices are ours."""
        indices = tuple(place.index for place in lease.places)
        self._emit(Granted(lease.record.devices, indices, lease.port_base))
        numbers = ",".join(map(str, indices))
        if self._program == LOCK_EXEC:
            sys.stdout.write(f"[{LOCK_EXEC}] Acquired GPUs: {numbers}\n")
            sys.stdout.flush()
        elif self._waited:
            self.say(f"got devices {numbers} after {lease.record.since - lease.asked_at:.1f} s.")

    def started(self, pid: int) -> None:
        """The command runs."""
        self._emit(Started(pid))

    def ended(self, outcome: Outcome) -> None:
        """The command and all that it started have ended."""
        code = None if outcome.signal else outcome.code or 0
        self._emit(Ended(code, outcome.signal, outcome.time_limit, outcome.lost))
        if outcome.time_limit:
            self.say("the command was ended at its time limit.")
        for sentence in (outcome.complaint, outcome.lost):
            if sentence:
                self.say(f"{sentence}.")

    def _emit(self, report: Report) -> None:
        if self._status_fd < 0:
            return
        try:
            os.write(self._status_fd, dump(report))
        except BrokenPipeError:
            return
