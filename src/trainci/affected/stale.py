"""Pure: whether what trainci.toml says of paths is still true of the tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from trainci.findings import Finding, place_of
from trainci.globs import matches
from trainci.model.project import Project
from trainci.model.tests import Entry
from trainci.text import printable


def stale_globs(project: Project, paths: Iterable[str], test_files: Sequence[str]) -> Iterator[Finding]:
    """The globs of ``[[affected]]`` and ``also`` that match nothing of ``paths``, all files of the repository."""
    every = sorted({*paths, *test_files})
    for entry in project.registered:
        for pattern in entry.also:
            if not any(matches(path, pattern) for path in every):
                yield _finding(entry.where, f"also → {printable(pattern)} matches no file. Change or remove it.")
    for rule in project.path_rules:
        for pattern in rule.paths:
            if not any(matches(path, pattern) for path in every):
                yield _finding(rule.where, f"paths → {printable(pattern)} matches no file. Change or remove it.")
        for test in rule.tests:
            entries = [*project.registered, *map(Entry, test_files)]
            if not any(entry.id == test or matches(entry.file, test) for entry in entries):
                yield _finding(rule.where, f"tests → {printable(test)} is no test. Change or remove it.")


def _finding(where: str, sentence: str) -> Finding:
    return Finding(*place_of(where), sentence, "stale-glob")
