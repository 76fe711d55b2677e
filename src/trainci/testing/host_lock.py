"""A lock that one process of the host holds at a time, and that the kernel frees when the process ends, however."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from trainci.host.files import NO_LOCKS

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def host_lock(path: Path, what: str) -> Iterator[None]:
    """Hold the lock on ``path``, a file that stays; ``what`` is said when another process holds it.

    Where nothing can be written there is nothing to be kept from others, and no lock; nor where there are none.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whoever shares the cache shares its locks.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            began = time.monotonic()
            print(f"{what}: another process is at it; waiting", flush=True)  # noqa: T201
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            print(f"{what}: waited {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)
