"""Ends a hook that never returns, and tells where it was."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from trainci.contracts.places import stack
from trainci.errors import EXIT_FAILED

_GRACE_S = 5.0
_SHOWN_PLACES = 8
_STDERR = 2


class TimeOver(BaseException):
    """A hook has not ended in time. Not an Exception, which a hook that tries again and again would catch."""


@dataclass(frozen=True)
class Limit:
    """How many ``seconds`` a hook may take to be loaded and called.

    A hook that heeds no exception then (C code, a thread that is waited for) ends the process some seconds later,
    with 1 and its stack on stderr, if ``ends_process``; else it runs on.
    """

    seconds: float = 60.0
    ends_process: bool = False

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Raise TimeOver out of the block when its time is over; only the main thread can be told.

        An alarm of somebody else's, such as a test runner's, still comes, and alone if it is the first.
        """
        began = time.monotonic()
        theirs, interval = signal.getitimer(signal.ITIMER_REAL)
        if 0 < theirs <= self.seconds or threading.current_thread() is not threading.main_thread():
            yield
            return
        handler = signal.signal(signal.SIGALRM, self._interrupt)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        if self.ends_process:
            # For what runs no line of Python any more.
            faulthandler.dump_traceback_later(self.seconds + 2 * _GRACE_S, exit=True, file=_STDERR)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
            passed = time.monotonic() - began
            if theirs:
                signal.setitimer(signal.ITIMER_REAL, max(theirs - passed, 1e-6), interval)
            # After its time Python may still wait for a thread of it, at the end.
            if self.ends_process and passed < self.seconds:
                faulthandler.cancel_dump_traceback_later()

    def _interrupt(self, _number: int, frame: FrameType | None) -> NoReturn:
        places = stack(frame)[-_SHOWN_PLACES:]
        said = "\n".join([f"has not ended after {self.seconds:g} s; it was at", *places])
        if self.ends_process:
            signal.signal(signal.SIGALRM, lambda *_: _end_process(said))
            signal.setitimer(signal.ITIMER_REAL, _GRACE_S)
        raise TimeOver(said)


def _end_process(said: str) -> NoReturn:
    sys.stderr.write(f"a hook {said}\nIt heeds no exception, so the process is ended.\n")
    sys.stderr.flush()
    os._exit(EXIT_FAILED)


USUAL = Limit()
