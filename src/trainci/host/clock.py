"""The time of a run, which no correction of the host's clock moves."""

from __future__ import annotations

import time
from collections.abc import Callable


def steady(wall: Callable[[], float], monotonic: Callable[[], float]) -> Callable[[], float]:
    """A clock that shows the Unix time that ``wall`` shows now, and from then on goes as ``monotonic`` goes.

    So what it says can be shown as a time, and differences are durations, although the host's clock may jump.
    """
    offset = wall() - monotonic()
    return lambda: monotonic() + offset


def drift() -> tuple[float, float]:
    """By how many seconds the Unix time, and the time with the host's sleep in it, are ahead of the steady one."""
    monotonic = time.monotonic()
    return time.time() - monotonic, time.clock_gettime(time.CLOCK_BOOTTIME) - monotonic


# One for the whole process: times of different parts of it are compared.
steady_time = steady(time.time, time.monotonic)
