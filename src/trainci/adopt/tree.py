"""The files of a repository as the readers see them: their names, and the text of those that are asked for."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# What a hand-written file of a CI may have; a larger one is data, and is not read.
_LARGEST = 1 << 20
_MOST_FILES = 100_000
_HIDDEN = {".github", ".buildkite", ".circleci"}
_FOREIGN = {"node_modules", "__pycache__", "site-packages", "third_party", "3rdparty"}


class Tree:
    """Paths are POSIX, relative to the root. ``read`` gives "" for what cannot be read as text."""

    def __init__(self, files: Iterable[str], read: Callable[[str], str]) -> None:
        self.files = tuple(sorted(files))
        self.read = read
        self._known = set(self.files)
        self._folders = {folder for path in self.files for folder in _parents(path)}

    def is_file(self, path: str) -> bool:
        """Whether there is a file of that path."""
        return path in self._known

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder of that path that holds a file."""
        return path in self._folders

    def matching(self, pattern: str) -> list[str]:
        """The files whose whole path matches the pattern of ``fnmatch``, whose ``*`` crosses ``/``."""
        return fnmatch.filter(self.files, pattern)


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def repository_tree(root: Path) -> Tree:
    """The files below ``root``. Links are not followed, hidden folders but those of a CI are left out."""
    found: list[str] = []
    for path in _walk(root, ""):
        found.append(path)
        if len(found) == _MOST_FILES:
            break
    return Tree(found, lambda path: _text(root / path))


def _walk(root: Path, top: str) -> Iterator[str]:
    try:
        with os.scandir(root / top) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    if top and any(entry.name == "pyvenv.cfg" for entry in listed):
        return
    for entry in listed:
        path = f"{top}/{entry.name}" if top else entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _FOREIGN and (not entry.name.startswith(".") or entry.name in _HIDDEN):
                yield from _walk(root, path)
        elif entry.is_file(follow_symlinks=False):
            yield path


def _text(path: Path) -> str:
    try:
        # A link may have come in the file's place since the folder was listed.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(_LARGEST + 1)
        return content.decode("utf-8-sig") if len(content) <= _LARGEST else ""
    except (OSError, UnicodeDecodeError):
        return ""
