"""Files of the host: small ones read and replaced as a whole, and those that may be something else by now."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system says that has no locks, as a network's may."""
# More than the kernel gives at once of any file of /proc.
_AT_ONCE = 1 << 16


def read_bytes(path: str) -> bytes:
    """What is in a small file. A lease reads many of /proc and of its cgroup, with three system calls each.

    :raises OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, _AT_ONCE):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_text(path: str) -> str | None:
    """The text of a small file, None when it is not there (or not ours to read)."""
    try:
        return read_bytes(path).decode("utf-8", "replace")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None


def tell_kernel(path: str, words: str) -> None:
    """Write to a file by which the kernel is told something, in one call, as it wants it.

    :raises OSError: it refuses.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, words.encode())
    finally:
        os.close(descriptor)


def open_plain(path: Path) -> BinaryIO:
    """Open a file to read; in its place may be something of another user, on which an open waits without end.

    :raises OSError: it cannot be read, or is a link or no plain file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return os.fdopen(descriptor, "rb")


def read_plain(path: Path, most: int) -> bytes:
    """The first ``most`` bytes of what ``open_plain`` opens; memory is taken for what is there.

    :raises OSError: see ``open_plain``.
    """
    with open_plain(path) as file:
        return file.read(min(most, os.fstat(file.fileno()).st_size))


def read_bounded(path: Path, most: int) -> bytes:
    """A file that somebody names, which may be a pipe or a device, and never end.

    :raises OSError: it cannot be read, or holds more than ``most`` bytes.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB", str(path))
    return data


def is_full(path: str) -> bool | None:
    """Whether less than 1 MiB, or no new file, can be written where ``path`` is; None where that is nowhere."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize < 1 << 20 or (found.f_files > 0 and found.f_favail == 0)


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def refuse_special(target: Path) -> None:
    """What takes the place of a device or a pipe takes it away from all who use it: root could replace /dev/null.

    :raises OSError: ``target`` is one, or leads to one.
    """
    with contextlib.suppress(FileNotFoundError):
        mode = target.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EINVAL, "it is a device or a pipe, and no file", str(target))


def replace(target: Path, content: bytes) -> None:
    """Write a file whole or not at all; one that is there keeps its permissions.

    Nothing is written through a link: a checkout may hold one in the file's place, or where a temporary file of a
    name that can be guessed would go.

    :raises OSError: it cannot be written, or is no plain file; ELOOP: there is a link in its place.
    """
    refuse_special(target)
    if target.is_symlink():
        raise OSError(errno.ELOOP, "there is a link in its place", str(target))
    temporary = target.with_name(f".trainci-{os.urandom(8).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if target.exists():
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except BaseException:
        remove(str(temporary))
        raise


def is_nowhere() -> bool:
    """Whether the directory that this process was started in is gone."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
