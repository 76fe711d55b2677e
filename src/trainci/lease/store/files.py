"""Files in a folder that others can write: opened through no link, of the right kind, and not read without end.

Another user may have put anything in a file's place: a link to what only we may read or write, a pipe that blocks
the process that opens it, a file without end.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

# No file of ours comes near: 120 devices and a queue of thousands fit in.
_MOST_BYTES = 1 << 22
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def open_regular(path: str, flags: int = os.O_RDONLY) -> int:
    """Open a file that is there.

    :raises FileNotFoundError: it is not.
    :raises OSError: it may not be opened; EINVAL or ELOOP where it is no regular file of one name.
    """
    return _opened(path, flags, stat.S_ISREG)


def open_pipe(path: str, flags: int) -> int:
    """Open a named pipe. Errors as of ``open_regular``; ENXIO where one to write to has no reader."""
    return _opened(path, flags, stat.S_ISFIFO)


def _opened(path: str, flags: int, is_right: Callable[[int], bool]) -> int:
    # Before it is opened, too: to open a device can do something.
    if not is_right(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "it is not what belongs there", path)
    descriptor = os.open(path, flags | _SAFE)
    found = os.fstat(descriptor)
    # A second name could be that of a file outside.
    if not is_right(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not what belongs there", path)
    return descriptor


def read(descriptor: int) -> str:
    """The text of an open file; empty where it is longer than any of ours."""
    data = b""
    while len(data) <= _MOST_BYTES:
        more = os.pread(descriptor, 1 << 16, len(data))
        if not more:
            return data.decode("utf-8", "replace")
        data += more
    return ""


def read_text(path: str) -> str | None:
    """The text of a file; None where there is none, or none that can be read."""
    try:
        descriptor = open_regular(path)
    except OSError:
        return None
    try:
        return read(descriptor)
    finally:
        os.close(descriptor)


def overwrite(descriptor: int, text: str) -> None:
    """Write the whole text of an open file.

    :raises OSError: not all of it could be written.
    """
    data = text.encode()
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], done)
    os.ftruncate(descriptor, len(data))


def remove(path: str) -> bool:
    """Remove a file; False where there is one that we cannot remove: another user's, or a folder."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
