"""The files of a repository as the readers see them: their names, and the text of those that are asked for."""

from __future__ import annotations

import fnmatch
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from trainci.globs import matches
from trainci.host.files import open_plain

# What a hand-written file of a CI may have; a larger one is data, and is not read.
_LARGEST = 1 << 20
_MOST_FILES = 100_000
_HIDDEN = {".github", ".buildkite", ".circleci", ".gitlab", ".ci", ".jenkins", ".azure", ".azure-pipelines"}
_NO_CI = {".git", ".venv", ".tox", ".nox", ".cache", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".trainci"}
# Begins a path in a repository that a script has cloned, with a character of nobody's.
CLONED = "/\ue002/"
# Folders in which a job's machine keeps the repository.
_CHECKOUTS = {"", "workspace", "opt", "app", "root", "home", "code", "repo", "src", "work", "workdir", "workdisk"}
_FOREIGN = {"node_modules", "__pycache__", "site-packages", "third_party", "3rdparty"}


class Tree:
    """Paths are POSIX, relative to the root. ``read`` gives "" for what cannot be read as text."""

    def __init__(self, files: Iterable[str], read: Callable[[str], str]) -> None:
        self.files = tuple(sorted(files))
        self.read = read
        self._known = set(self.files)
        self._globbed: dict[str, tuple[str, ...]] = {}
        self._folders = {folder for path in self.files for folder in _parents(path)}
        packages = (path.removeprefix("src/").split("/") for path in self.files if path.endswith("/__init__.py"))
        self._names = {_plain(parts[0]) for parts in packages if len(parts) == 2} - {"tests", "test", "src"}

    def is_file(self, path: str) -> bool:
        """Whether there is a file of that path."""
        return path in self._known

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder of that path that holds a file."""
        return path in self._folders

    def globbed(self, pattern: str) -> tuple[str, ...]:
        """The files and folders that a shell would fill in for the pattern."""
        if pattern not in self._globbed:  # each row of a matrix asks again
            found = (path for path in (*self.files, *self._folders) if matches(path, pattern))
            self._globbed[pattern] = tuple(sorted(found))
        return self._globbed[pattern]

    def within(self, path: str) -> str:
        """The path in this repository that a job means which has it checked out elsewhere.

        ``/opt/NAME/tests`` and, after ``git clone …/NAME``, ``NAME/tests`` are ``tests``, where NAME is a package
        of this repository; so is ``/workspace/tests``, where that is here. Any other path is itself.
        """
        path = path.removeprefix("./")
        if path in (".", ""):
            return ""
        if self.is_file(path) or self.is_folder(path):
            return path
        is_cloned = path.startswith(CLONED)
        parts = path.removeprefix(CLONED).removeprefix("../").split("/")
        for position, part in enumerate(parts):
            if _plain(part) in self._names and (position == 0 if is_cloned else path.startswith("/")):
                return "/".join(parts[position + 1 :])
            end = "/".join(parts[position:])
            if position and path.startswith("/") and not is_cloned and (self.is_file(end) or self.is_folder(end)):
                return end
            if part not in _CHECKOUTS:
                break
        return path

    def matching(self, pattern: str) -> list[str]:
        """The files whose whole path matches the pattern of ``fnmatch``, whose ``*`` crosses ``/``."""
        return fnmatch.filter(self.files, pattern)


def cloned_name(words: Sequence[str]) -> str:
    """The folder that ``git clone … words`` makes."""
    return posixpath.basename(words[-1].rstrip("/")).removesuffix(".git")


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


# So deep lies nothing that tells of a CI.
_DEEPEST = 100


def repository_tree(root: Path) -> Tree:
    """The files below ``root``. Links are not followed.

    Of hidden folders that are no known CI's, only YAML right below the root's, one folder deep, may be a CI's.
    """
    found: list[str] = []
    for path in _walk(root, ""):
        found.append(path)
        if len(found) == _MOST_FILES:
            break
    return Tree(found, lambda path: _text(root / path))


def _walk(root: Path, top: str, deepest: int = _DEEPEST) -> Iterator[str]:
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
            hidden = entry.name.startswith(".") and entry.name not in _HIDDEN
            if hidden and not top and entry.name not in _NO_CI:
                yield from (found for found in _walk(root, path, deepest=2) if found.endswith((".yml", ".yaml")))
            elif entry.name not in _FOREIGN and not hidden and path.count("/") < deepest:
                yield from _walk(root, path, deepest)
        elif entry.is_file(follow_symlinks=False):
            yield path


def _text(path: Path) -> str:
    try:
        # A link may have come in the file's place since the folder was listed.
        with open_plain(path) as file:
            content = file.read(_LARGEST + 1)
        return content.decode("utf-8-sig") if len(content) <= _LARGEST else ""
    except (OSError, UnicodeDecodeError):
        return ""
