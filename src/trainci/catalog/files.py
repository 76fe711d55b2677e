"""Which files of a repository are tests."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from trainci.catalog.styles import STYLES
from trainci.errors import UsageError
from trainci.globs import literal_directory, matches
from trainci.text import printable, shortened

_LONGEST_SHOWN = 200


def find_test_files(root: Path, globs: Iterable[str]) -> tuple[str, ...]:
    """The files of a test style that match ``globs``, as sorted POSIX paths relative to ``root``.

    Links to directories are not followed.
    """
    patterns = tuple(globs)
    suffixes = tuple({style.suffix for style in STYLES.values() if style.suffix})
    tops = {literal_directory(pattern) for pattern in patterns}
    found = {
        path
        for top in tops
        for path in walk(root, top)
        if path.endswith(suffixes) and any(matches(path, pattern) for pattern in patterns)
    }
    return tuple(sorted(found))


def walk(root: Path, top: str) -> Iterator[str]:
    """Files below ``root/top`` as POSIX paths relative to ``root``; hidden directories are left out.

    :raises UsageError: a directory cannot be read.
    """
    left = [top]
    while left:
        directory = left.pop()
        for entry in _listed(root, directory):
            path = f"{directory}/{entry.name}" if directory else entry.name
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name != "__pycache__":
                    left.append(path)
            elif _is_file(entry):
                yield path


def _listed(root: Path, directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(f"{root}/{directory}") as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        shown = printable(shortened(directory, _LONGEST_SHOWN))
        raise UsageError(f"{shown} cannot be searched for tests: {error.strerror}") from None


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads back to itself
        return False
