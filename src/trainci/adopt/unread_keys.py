"""The keys of a job that no reader looks at: each is named, so that nothing of a job is lost without a word."""

from __future__ import annotations

from collections.abc import Iterator, Set

from trainci.adopt.commands.entries import one_line
from trainci.adopt.placed import Items, Table, Text, Value
from trainci.adopt.proposal import Note, Place

_OFF = {"", "false", "null", "0"}


def unread_keys(job: Table, known: Set[str], file: str) -> Iterator[Note]:
    """A note for each key that is not ``known`` and says something."""
    for key, value in job.items():
        if key not in known and _shown(value) not in _OFF:
            line = value.line or job.line
            yield Note(one_line(f"not carried over: {key}: {_shown(value)}"), Place(file, line))


def _shown(value: Value) -> str:
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, Items):
        return ", ".join(map(_shown, value))
    assert isinstance(value, Table)
    return ", ".join(f"{key} {_shown(child)}".rstrip() for key, child in value.items())
