"""Files that are named like tests, hold none, and are there for others: ``test_utils.py`` beside ``test_a.py``."""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from trainci.catalog.source import read_source
from trainci.model.tests import Declarations, Entry


def helpers(
    root: Path, declared: Mapping[Entry, Declarations], files: Iterable[str], paths: Iterable[str]
) -> frozenset[str]:
    """Those that no suite names and a test among ``files`` or a file beside them, of all ``paths``, imports."""
    idle = {
        entry.file
        for entry, says in declared.items()
        if not entry.where and entry.file.endswith(".py") and says.runs_nothing
    }
    if not idle:
        return frozenset()
    folders = {posixpath.dirname(file) for file in idle}
    beside = {path for path in paths if path.endswith(".py") and posixpath.dirname(path) in folders}
    imported = _imported(root, {*files, *beside}, {posixpath.basename(file)[:-3] for file in idle})
    return frozenset(
        file for file in idle if any(other != file for other in imported.get(posixpath.basename(file)[:-3], ()))
    )


def _imported(root: Path, files: Iterable[str], modules: Collection[str]) -> dict[str, set[str]]:
    """Which of ``files`` import a module of each of these names."""
    names = "|".join(map(re.escape, modules))
    line = re.compile(rf"^[ \t]*(?:from|import)[ \t][^\n]*?\b({names})\b".encode(), re.MULTILINE)
    found: dict[str, set[str]] = {}
    for file in files:
        with contextlib.suppress(OSError):
            for name in line.findall(read_source(root, file)):
                found.setdefault(name.decode(), set()).add(file)
    return found
