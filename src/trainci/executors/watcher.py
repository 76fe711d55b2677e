"""Follows one lease process: its output into the log and to the console, its reports into events."""

from __future__ import annotations

import math
import os
import select
import time

from trainci.executors.account import Account
from trainci.executors.base import Show
from trainci.executors.launcher import Launched
from trainci.model.run import Cause, Ending
from trainci.streams import widen

# How long output may still trickle in after the lease process has gone, at one time and in all, before the log is
# closed regardless.
_DRAIN_S = 2.0
_LONGEST_DRAIN_S = 10.0
# While output is not wanted, reports are looked for so often.
_HELD_BACK_S = 0.02
# A lease process that has not ended its job so long after the time limit may have been stopped by it.
_LATE_S = 20.0
_CHUNK = 1 << 18


class Watcher:
    """One job's. What happens is told also while its output is not wanted; the log has every byte first."""

    def __init__(self, launched: Launched, output: int, status: int, account: Account, show: Show) -> None:
        self._launched = launched
        self._output = output
        self._status = status
        self._account = account
        self._show = show
        self._late_at = math.inf

    def run(self) -> None:
        """Follow it to its end."""
        try:
            self._follow()
            self._account.flush()
        finally:
            self.close()

    def close(self, ending: Ending | None = None) -> None:
        """Wait for the end of the lease process, and tell that it ended so, or with this ``ending``."""
        code = self._launched.wait()
        os.close(self._status)
        os.close(self._output)
        self._account.close(ending or self._ended(code))

    def _follow(self) -> None:
        widen(self._output)
        while True:
            patience = self._patience()
            # Once the job has ended, the lease process has a word to say before it goes.
            if self._account.ending is not None or self._show.has_room(_HELD_BACK_S):
                ready = _readable([self._status, self._output], patience)
            else:
                self._account.held_back()
                ready = _readable([self._status], 0)
            if self._output in ready and not self._take_output():
                break
            # The status descriptor closes with the lease process; output may be held open a moment longer.
            if self._status in ready and not self._take_status():
                self._drain()
                return
        while self._take_status():
            continue

    def _patience(self) -> float | None:
        """How long its lease process may be waited for; it is told to end its job where it should have."""
        now = time.monotonic()
        if self._account.started and self._late_at == math.inf:
            self._late_at = now + self._account.time_limit + _LATE_S
        if now >= self._late_at:
            self._launched.terminate()
            self._late_at = now + _LATE_S
        return None if self._late_at == math.inf else self._late_at - now

    def _drain(self) -> None:
        """What is still in the pipe, wanted or not."""
        give_up_at = time.monotonic() + _LONGEST_DRAIN_S
        while time.monotonic() < give_up_at and _readable([self._output], _DRAIN_S) and self._take_output():
            continue

    def _take_output(self) -> bool:
        data = os.read(self._output, _CHUNK)
        self._account.output(data)
        return bool(data)

    def _take_status(self) -> bool:
        data = os.read(self._status, _CHUNK)
        self._account.status(data)
        return bool(data)

    def _ended(self, code: int | None) -> Ending:
        if self._account.fault:
            return Ending(Cause.LOST, detail=self._account.fault)
        if self._account.ending is None:
            how = "" if code is None else f" with {code}"
            fault = f"the process that held the lease ended{how} and no report{self._account.last_line}"
            return Ending(Cause.LOST, detail=fault)
        if self._account.ending.passed and code and not self._account.ordered:
            # A job of the same user can write into the pipe of the reports, and changes no exit code by that.
            fault = f"the process that held the lease reported an exit code of 0, and ended with {code} itself"
            return Ending(Cause.LOST, detail=fault)
        return self._account.ending


def _readable(descriptors: list[int], timeout: float | None) -> set[int]:
    """Those that can be read, or have ended; waits up to ``timeout`` seconds."""
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poller.poll(None if timeout is None else timeout * 1000)}
