"""Ends a hook that never returns, and tells where it was."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from trainci.contracts.places import stack

_SHOWN_PLACES = 8


class TimeOver(BaseException):
    """A hook has not ended in time. Not an Exception, which a hook that tries again and again would catch."""


@dataclass(frozen=True)
class Limit:
    """How many ``seconds`` a hook may take to be loaded and called.

    ``tell`` is told where it was then, before the hook is: one that obeys no exception (C code, a thread that is
    waited for) runs on.
    """

    seconds: float = 60.0
    tell: Callable[[str], object] | None = None

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
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
            passed = time.monotonic() - began
            if theirs:
                signal.setitimer(signal.ITIMER_REAL, max(theirs - passed, 1e-6), interval)

    def _interrupt(self, _number: int, frame: FrameType | None) -> NoReturn:
        places = stack(frame)[-_SHOWN_PLACES:]
        said = "\n".join([f"has not ended after {self.seconds:g} s; it was at", *places])
        if self.tell:
            self.tell(said)
        raise TimeOver(said)


USUAL = Limit()
