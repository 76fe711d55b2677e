"""Follows the imports of test files and of the files beside them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

from trainci.catalog.declarations import parse
from trainci.catalog.files import walk
from trainci.globs import literal_directory


def importers(root: Path, helpers: Iterable[str], globs: Iterable[str], tests: Iterable[str]) -> dict[str, str]:
    """Which of ``tests`` depend on one of the changed ``helpers``, and on which.

    A test depends on what it imports, directly or through other files of the test directories, and on every
    ``conftest.py`` at or above it. A helper may be deleted already: who still imports it is found.
    """
    directories = {literal_directory(pattern) for pattern in globs}
    tree = sorted({path for top in directories for path in walk(root, top) if path.endswith(".py")} | set(tests))
    reached = {helper: helper for helper in sorted(helpers)}
    frontier = list(reached)
    while frontier:
        names = {part for path in frontier for part in (PurePosixPath(path).stem, PurePosixPath(path).parent.name)}
        wanted, frontier = set(frontier), []
        for file in tree:
            if file in reached or names.isdisjoint(_words(root, file)):
                continue
            if hit := next((path for path in _imports(root, file) if path in wanted), None):
                reached[file] = reached[hit]
                frontier.append(file)
    result = {test: reached[test] for test in tests if test in reached and reached[test] != test}
    for helper in reached:
        if PurePosixPath(helper).name == "conftest.py":
            scope = PurePosixPath(helper).parent
            result.update({test: helper for test in tests if PurePosixPath(test).is_relative_to(scope)})
    return result


def _words(root: Path, file: str) -> set[str]:
    """Every word of the file: far cheaper than parsing each file of a large tree for its imports."""
    try:
        return set(re.findall(r"\w+", (root / file).read_bytes().decode("utf-8", "surrogateescape")))
    except OSError:
        return set()


@lru_cache(maxsize=65536)
def _imports(root: Path, file: str) -> frozenset[str]:
    """Every path that an import in ``file`` could mean, seen from its own directory and from the root."""
    try:
        tree = parse(root / file)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return frozenset()
    own = PurePosixPath(file).parent
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.update(_candidates((own, PurePosixPath()), alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom):
            bases = (own, PurePosixPath())
            if node.level:
                parents = (own, *own.parents)
                bases = (parents[min(node.level, len(parents)) - 1],) * 2
            parts = node.module.split(".") if node.module else []
            for alias in node.names:
                found.update(_candidates(bases, [*parts, alias.name]))
    return frozenset(found)


def _candidates(bases: tuple[PurePosixPath, PurePosixPath], parts: list[str]) -> Iterator[str]:
    for base in set(bases):
        for length in range(1, len(parts) + 1):
            stem = base.joinpath(*parts[:length])
            yield f"{stem}.py"
            yield f"{stem}/__init__.py"
