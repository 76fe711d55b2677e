"""Small files of the host, read as a whole."""

from __future__ import annotations

from pathlib import Path


def read_text(path: str) -> str | None:
    """The text of a small file, None when it is not there (or not ours to read)."""
    try:
        return Path(path).read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    Path(path).unlink(missing_ok=True)
