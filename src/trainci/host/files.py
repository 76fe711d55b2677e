"""Small files of the host, read as a whole."""

from __future__ import annotations

import os


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
