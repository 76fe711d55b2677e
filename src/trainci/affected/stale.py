"""Pure: whether what trainci.toml says of paths is still true of the tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from trainci.findings import Finding, place_of
from trainci.globs import matches
from trainci.model.project import Project
from trainci.model.tests import Entry
from trainci.text import listed, printable


def stale_globs(project: Project, paths: Iterable[str], test_files: Sequence[str]) -> Iterator[Finding]:
    """The globs of entries, ``also``, ``[[affected]]`` and suites that match none of ``paths``: all files.

    Of the ``paths`` of a suite one that matches is enough: without any, no push would start it.
    """
    every = sorted({*paths, *test_files})
    written = [
        *((where, "path", (glob,)) for suite in project.suites for glob, where in suite.globs),
        *((entry.where, "also", (glob,)) for entry in project.registered for glob in entry.also),
        *((suite.where, "paths", suite.paths) for suite in project.suites if suite.paths),
        *((rule.where, "paths", (glob,)) for rule in project.path_rules for glob in rule.paths),
    ]
    for where, key, globs in written:
        if not any(matches(path, glob) for path in every for glob in globs):
            verb = "matches" if len(globs) == 1 else "match"
            yield _finding(where, f"{key} → {listed(globs)} {verb} no file. Change or remove it.")
    for rule in project.path_rules:
        for test in rule.tests:
            entries = [*project.registered, *map(Entry, test_files)]
            if not any(entry.id == test or matches(entry.file, test) for entry in entries):
                yield _finding(rule.where, f"tests → {printable(test)} is no test. Change or remove it.")


def _finding(where: str, sentence: str) -> Finding:
    return Finding(*place_of(where), sentence, "stale-glob")
