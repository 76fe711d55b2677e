"""Pure: which entries of trainci.toml a change adds or alters."""

from __future__ import annotations

import json
import posixpath
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trainci.globs import matches
from trainci.model.tests import Entry
from trainci.toml_lines import nearest_line, toml_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What says when and where the tests of a suite run, and not how.
_NOT_HOW = frozenset(
    {
        "label",
        "description",
        "tests",
        "select",
        "always",
        "schedule",
        "runs_on",
        "branches",
        "paths",
        "paths_ignore",
    }
)


@dataclass(frozen=True)
class Altered:
    """An entry, as it is written: its line, its path (or glob) and arguments, and whether it is new altogether."""

    line: int
    path: str
    args: tuple[str, ...]
    is_new: bool

    def means(self, entry: Entry) -> bool:
        """Is ``entry`` what was read from there?"""
        if not entry.where.endswith(f":{self.line}"):
            return False
        return not self.path or (matches(entry.file, self.path) and entry.args == self.args)


def altered(before: str, now: str) -> list[Altered]:
    """The entries in ``now`` that ``before`` does not hold like that.

    An entry that is moved is the same; one whose suite gives it another image, environment or limit is not.

    :raises ValueError: one of them is no TOML.
    """
    known = {(named, how) for named, how, _ in _entries(before)}
    names = {named for named, _ in known}
    lines = toml_lines(now)
    found = []
    for named, how, place in _entries(now):
        if (named, how) not in known:
            found.append(Altered(nearest_line(lines, place), named[0], named[1:], named not in names))
    return found


def _entries(source: str) -> Iterator[tuple[tuple[str, ...], str, tuple[str | int, ...]]]:
    """The path and arguments of each entry, everything that says how it runs, and its place."""
    suites = tomllib.loads(source).get("suites")
    for name, suite in suites.items() if isinstance(suites, dict) else ():
        tests = suite.get("tests") if isinstance(suite, dict) else None
        for index, entry in enumerate(tests if isinstance(tests, list) else ()):
            table: dict[str, Any] = dict(entry) if isinstance(entry, dict) else {"path": entry}
            table.pop("also", None)
            how = {key: value for key, value in suite.items() if key not in _NOT_HOW}
            text = json.dumps([how, table], sort_keys=True, default=str)
            path = str(table.get("path") or "").partition("::")[0]
            arguments = table.get("args")
            words = map(str, arguments if isinstance(arguments, list) else ())
            named = (posixpath.normpath(path) if path else "", *words)
            yield named, text, ("suites", name, "tests", index)
