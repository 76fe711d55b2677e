"""Which files of a repository are tests."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from trainci.errors import UsageError
from trainci.globs import literal_directory, matches
from trainci.text import printable

# A syntax tree may take nine hundred times the memory of its source.
_LARGEST_PARSED = 2**19


def find_test_files(root: Path, globs: Iterable[str]) -> tuple[str, ...]:
    """The files that match ``globs``, as sorted POSIX paths relative to ``root``.

    Links to directories are not followed.
    """
    patterns = tuple(globs)
    tops = {literal_directory(pattern) for pattern in patterns}
    found = {
        path
        for top in tops
        for path in walk(root, top)
        if path.endswith(".py") and any(matches(path, pattern) for pattern in patterns)
    }
    return tuple(sorted(found))


def read_source(root: Path, file: str) -> bytes:
    """The content of a test file.

    :raises OSError: it cannot be read; also where it is too large, or a link that leads outside the repository.
    """
    path = f"{root}/{file}"
    if not os.path.realpath(path).startswith(os.path.join(os.path.realpath(root), "")):  # noqa: PTH118
        raise OSError(errno.EXDEV, "a link that leads outside the repository. Put the file here")
    with open(path, "rb") as source:  # noqa: PTH123
        content = source.read(_LARGEST_PARSED + 1)
    if len(content) > _LARGEST_PARSED:
        raise OSError(errno.EFBIG, "larger than 512 KiB. Move what makes it large into a data file")
    return content


def walk(root: Path, top: str) -> Iterator[str]:
    """Files below ``root/top`` as POSIX paths relative to ``root``; hidden directories are left out."""
    try:
        with os.scandir(root / top) as entries:
            listed = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UsageError(f"{printable(top)} cannot be searched for tests: {error.strerror}") from None
    for entry in listed:
        path = f"{top}/{entry.name}" if top else entry.name
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith(".") and entry.name != "__pycache__":
                yield from walk(root, path)
        elif _is_file(entry):
            yield path


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads back to itself
        return False
