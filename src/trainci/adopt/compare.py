"""What proposed suites have that a trainci.toml does not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from trainci.adopt.proposal import Entry, Suite
from trainci.adopt.toml import entry_line

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What says which test an entry is; how long or on how many devices it runs is the user's to change.
_IDENTITY = ("path", "module", "command", "name", "args", "env", "steps")


def additions(suites: Sequence[Suite], document: str) -> dict[str, list[str]]:
    """For each proposed suite the lines of the entries that no suite of ``document`` has.

    :raises ValueError: ``document`` is no TOML.
    """
    written = tomllib.loads(document).get("suites")
    tables = [suite for suite in written.values() if isinstance(suite, dict)] if isinstance(written, dict) else []
    known = {identity for suite in tables for identity in _identities(suite)}
    missing = {
        suite.name: [entry_line(entry) for entry in suite.tests if _identity(entry) not in known]
        for suite in suites
    }
    return {name: lines for name, lines in missing.items() if lines}


def _identities(suite: dict[str, Any]) -> Iterator[str]:
    tests = suite.get("tests")
    for entry in tests if isinstance(tests, list) else ():
        table = {"path": entry} if isinstance(entry, str) else entry
        if isinstance(table, dict):
            said = {name: table[name] for name in _IDENTITY if name in table}
            yield json.dumps(said, sort_keys=True, default=str)


def _identity(entry: Entry) -> str:
    (identity,) = _identities(tomllib.loads(f"tests = [{entry_line(entry)}]"))
    return identity
