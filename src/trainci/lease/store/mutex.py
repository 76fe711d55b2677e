"""The mutex of a scheduling cycle, which an owner that is stopped, or hostile, cannot keep."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable

from trainci.errors import MachineError
from trainci.lease.store.directory import ALL, Directory
from trainci.lease.store.files import open_regular, remove
from trainci.lease.store.locks import is_current, try_lock

# A cycle takes a few milliseconds. Whoever holds the mutex this long is stopped, frozen or starved of CPU.
MUTEX_PATIENCE_S = 1.0
_PREFIX = "lock."
_SIGNATURE_BYTES = 8


class _LateError(Exception):
    pass


class Mutex:
    """``with Mutex(directory):`` one scheduling cycle at a time, in a directory that is whole. Main thread only.

    An owner that does not let go within MUTEX_PATIENCE_S loses it: a file of the next number takes the place of
    his. What such an owner does when it wakes up is harmless, because nothing decided under the mutex is the truth:
    a device is taken by its own lock, and a waiter looks for its grant again before it takes. Each owner signs the
    file, so that a crowd in which one follows the other is not taken for one that is stuck, for half of ``within``:
    to sign again and again is easy.

    ``meanwhile`` is called about once a second while we wait, and may raise. What ``within`` seconds do not bring
    is not waited for.

    :raises MachineError: others keep it all the same.
    """

    def __init__(
        self, directory: Directory, meanwhile: Callable[[], None] = lambda: None, within: float = 20.0
    ) -> None:
        self._directory = directory
        self._meanwhile = meanwhile
        self._within = within
        self._descriptor = -1

    def __enter__(self) -> None:
        begun = time.monotonic()
        while True:
            self._directory.mend()
            number = self._current()
            waited = time.monotonic() - begun
            if self._enter(number, waited > self._within / 2):
                return
            if waited > MUTEX_PATIENCE_S:
                self._meanwhile()
            if waited > self._within:
                raise MachineError(
                    f"others have kept {self._path(number)} locked for {waited:.0f} s: `fuser -v` shows who."
                )

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)

    def _current(self) -> int:
        """The number of the file that is the mutex now; 0 where there is none."""
        names = [name.removeprefix(_PREFIX) for name in self._directory.names("queue") if name.startswith(_PREFIX)]
        return max((int(name) for name in names if name.isdecimal() and len(name) < 10), default=0)

    def _path(self, number: int) -> str:
        return self._directory.join("queue", f"{_PREFIX}{number}")

    def _enter(self, number: int, impatient: bool) -> bool:
        """Become the owner; False where it takes another look."""
        try:
            descriptor = open_regular(self._path(number), os.O_RDWR)
        except OSError:
            # There is none, or one that is none.
            return self._succeed(number)
        before = _signature(descriptor)
        if try_lock(descriptor) or _lock_in_time(descriptor):
            if is_current(descriptor, self._path(number)) and self._current() == number:
                _sign(descriptor)
                self._descriptor = descriptor
                return True
        elif impatient or _signature(descriptor) == before:
            os.close(descriptor)
            return self._succeed(number)
        os.close(descriptor)
        return False

    def _succeed(self, number: int) -> bool:
        """Begin the next file, as its owner if no other process is faster."""
        try:
            descriptor = self._directory.create(self._path(number + 1), "", ALL)
        except (FileExistsError, FileNotFoundError):
            return False
        if not try_lock(descriptor):
            os.close(descriptor)
            return False
        remove(self._path(number))
        self._descriptor = descriptor
        return True


def _signature(descriptor: int) -> bytes:
    return os.pread(descriptor, _SIGNATURE_BYTES, 0)


def _sign(descriptor: int) -> None:
    try:
        os.pwrite(descriptor, os.urandom(_SIGNATURE_BYTES), 0)
    except OSError:
        # The disk is full: then owners cannot be told apart.
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
