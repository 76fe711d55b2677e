"""Small files of the host, read and replaced as a whole."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path


def read_text(path: str) -> str | None:
    """The text of a small file, None when it is not there (or not ours to read)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return None
    try:
        return read_descriptor(descriptor)
    finally:
        os.close(descriptor)


def read_descriptor(descriptor: int) -> str:
    """The text of a small file that is open, from its beginning."""
    text = b""
    while True:
        # Files of /proc come in pieces: only an empty one is the end.
        more = os.pread(descriptor, 65536, len(text))
        text += more
        if not more:
            return text.decode("utf-8", "replace")


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def replace(target: Path, content: bytes) -> None:
    """Write a file whole or not at all; one that is there keeps its permissions.

    Nothing is written through a link: a checkout may hold one in the file's place, or where a temporary file of a
    name that can be foretold would go.

    :raises OSError: it cannot be written; ELOOP: there is a link in its place.
    """
    if target.is_symlink():
        raise OSError(errno.ELOOP, "there is a link in its place", str(target))
    temporary = target.with_name(f".trainci-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            if target.exists():
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except BaseException:
        remove(str(temporary))
        raise
