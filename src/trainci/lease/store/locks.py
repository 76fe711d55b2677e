"""The kernel's locks (flock) as this package uses them."""

from __future__ import annotations

import fcntl
import os
import time

from trainci.lease.store.directory import Directory
from trainci.lease.store.files import open_regular

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
    """Does any process hold this lock? A file that is not there is not held, one that we may not open is.

    Looks with a shared lock, so that those who look never take each other for a holder.
    """
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return is_locked(descriptor)
    finally:
        os.close(descriptor)


def take(directory: Directory, path: str) -> int | None:
    """Take the lock of a file and return the descriptor that holds it; None when somebody else has it."""
    descriptor = directory.open_lock(path)
    until = time.monotonic() + _LOOKER_PATIENCE_S
    while not try_lock(descriptor):
        if is_locked(descriptor) or time.monotonic() > until:
            os.close(descriptor)
            return None
    if not is_current(descriptor, path):
        os.close(descriptor)
        return None
    return descriptor


def is_current(descriptor: int, path: str) -> bool:
    """Is the open file still the one at this path?"""
    try:
        there = os.lstat(path)
    except OSError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev)


def is_locked(descriptor: int) -> bool:
    """Does any process hold the lock of this open file?"""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
