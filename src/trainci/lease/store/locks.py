"""The kernel's locks (flock) as this package uses them, and the mutex that a stopped owner cannot keep."""

from __future__ import annotations

import fcntl
import os
import signal
import time

from trainci.lease.store.directory import Directory

# A cycle takes a few milliseconds. Whoever holds the mutex this long is stopped, frozen or starved of CPU.
MUTEX_PATIENCE_S = 1.0
# How long a taker lets the momentary hold of somebody who only looks pass by.
_LOOKER_PATIENCE_S = 0.1


def try_lock(descriptor: int) -> bool:
    """Take the lock for ourselves, if it is free now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: str) -> bool:
    """Does anybody hold this lock? A file that is not there is not held.

    Looks with a shared lock, so that those who look never take each other for a holder.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return _exclusively_held(descriptor)
    finally:
        os.close(descriptor)


def take(directory: Directory, path: str) -> int | None:
    """Take the lock of a file and return the descriptor that holds it; None when somebody else has it."""
    descriptor = directory.open_lock(path)
    until = time.monotonic() + _LOOKER_PATIENCE_S
    while not try_lock(descriptor):
        if _exclusively_held(descriptor) or time.monotonic() > until:
            os.close(descriptor)
            return None
    if not is_current(descriptor, path):
        os.close(descriptor)
        return None
    return descriptor


def is_current(descriptor: int, path: str) -> bool:
    """Is the open file still the one at this path?"""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev)


def _exclusively_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


class _LateError(Exception):
    pass


class Mutex:
    """``with Mutex(directory):`` one scheduling cycle at a time. Main thread only.

    An owner that does not let go within MUTEX_PATIENCE_S loses it: the file is replaced by a new one. What such
    an owner does when it wakes up is harmless, because nothing decided under the mutex is the truth: a device is
    taken by its own lock, and a waiter looks for its grant again before it takes. Each owner signs the file, so
    that a crowd in which one follows the other is not taken for one that is stuck.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._path = directory.join("queue", "lock")
        self._descriptor = -1

    def __enter__(self) -> None:
        while True:
            descriptor = self._directory.open_lock(self._path)
            before = _signature(descriptor)
            if try_lock(descriptor) or _lock_in_time(descriptor):
                if is_current(descriptor, self._path):
                    _sign(descriptor)
                    self._descriptor = descriptor
                    return
            elif _signature(descriptor) == before:
                self._replace(descriptor)
            os.close(descriptor)

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)

    def _replace(self, stuck: int) -> None:
        if is_current(stuck, self._path):
            self._directory.replace(self._path, "")


_SIGNATURE_BYTES = 8


def _signature(descriptor: int) -> bytes:
    return os.pread(descriptor, _SIGNATURE_BYTES, 0)


def _sign(descriptor: int) -> None:
    try:
        os.pwrite(descriptor, os.urandom(_SIGNATURE_BYTES), 0)
    except OSError:
        # Another user's file that may only be read: its owners are then told apart by nobody.
        return


def _lock_in_time(descriptor: int) -> bool:
    armed = True

    def late(_number: int, _frame: object) -> None:
        if armed:
            raise _LateError

    before = signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, MUTEX_PATIENCE_S)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        armed = False
    except _LateError:
        return False
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return True
