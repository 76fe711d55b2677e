"""Tells what happens: sentences for a person on stderr, and for an executor one JSON object a line."""

from __future__ import annotations

import os
import sys
import time

from trainci.lease.protocol import Ended, Granted, Report, Started, Waiting, dump
from trainci.lease.queue.hold import Lease
from trainci.lease.store.records import FOREVER, Request, Reservation
from trainci.text import counted

# The name under which `gpu-lock-exec` speaks: that of the script that it replaces, whose lines others may read.
LOCK_EXEC = "gpu_lock_exec"


class Reporter:
    """``status_fd`` gets the JSON lines (-1: none does) of what becomes of ``request``."""

    def __init__(self, program: str, status_fd: int, request: Request) -> None:
        self._program = program
        self._status_fd = status_fd
        self._request = request
        self._waited = False

    def say(self, sentence: str) -> None:
        """One line for a person."""
        sys.stderr.write(f"{self._program}: {sentence}\n")
        sys.stderr.flush()

    def waiting(self, reservation: Reservation, ahead: int, why: str) -> None:
        """It waits, with ``ahead`` requests before ours, or for others than it did; ``why`` says for whom."""
        self._waited = True
        self._emit(Waiting(ahead, why))
        known = reservation.start < FOREVER
        start = time.strftime("; starts by %H:%M:%S", time.localtime(reservation.start)) if known else ""
        what = f"waiting for {counted(self._request.count, 'device')}, {counted(ahead, 'request')} ahead{start}"
        self.say(f"{what}; it waits for {why}." if why else f"{what}.")

    def too_late(self, timeout: float) -> None:
        """The wait ends without the devices."""
        self.say(f"the {counted(self._request.count, 'device')} did not come within {timeout:g} s.")

    def stopped(self, cancelled_by: str) -> None:
        """The wait ends by a signal; ``cancelled_by`` says who sent it, where that is known."""
        if cancelled_by:
            self.say(f"the request was cancelled by {cancelled_by}.")

    def granted(self, lease: Lease) -> None:
        """The devices are ours."""
        indices = tuple(device.index for device in lease.devices)
        self._emit(Granted(lease.record.devices, indices, lease.port_base))
        numbers = ",".join(map(str, indices))
        if self._program == LOCK_EXEC:
            sys.stdout.write(f"[{LOCK_EXEC}] Acquired GPUs: {numbers}\n")
            sys.stdout.flush()
        elif self._waited:
            self.say(f"got devices {numbers} after {lease.record.since - self._request.since:.1f} s.")

    def started(self, pid: int) -> None:
        """The command runs."""
        self._emit(Started(pid))

    def ended(self, ended: Ended) -> None:
        """The command and all that it started have ended."""
        self._emit(ended)
        if ended.time_limit:
            self.say("the command was ended at its time limit.")
        for sentence in (ended.complaint, ended.lost):
            if sentence:
                self.say(f"{sentence}.")

    def _emit(self, report: Report) -> None:
        if self._status_fd < 0:
            return
        try:
            os.write(self._status_fd, dump(report))
        except BrokenPipeError:
            return
