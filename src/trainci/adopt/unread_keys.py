"""The keys of a job that no reader looks at: each is named, so that nothing of a job is lost without a word."""

from __future__ import annotations

from collections.abc import Iterator, Set

from trainci.adopt.commands.called_tests import speaks_of_tests
from trainci.adopt.commands.entries import one_line
from trainci.adopt.placed import Items, Table, Text, Value, texts_in
from trainci.adopt.proposal import Note, Place

_OFF = {"", "false", "null", "0"}


def unread_keys(job: Table, known: Set[str], file: str) -> Iterator[Note]:
    """A note for each key that is not ``known`` and says something."""
    for key, value in job.items():
        if key not in known and shown(value) not in _OFF:
            line = value.line or job.line
            yield Note(one_line(f"not carried over: {key}: {shown(value)}"), Place(file, line))


def tests_in(value: Value, file: str) -> Iterator[Note]:
    """A note for each scalar that runs tests, of what gave none."""
    for text in texts_in(value):
        if speaks_of_tests(text):
            line = next(
                line for line in text.splitlines() if speaks_of_tests(line) or line == text.splitlines()[-1]
            )
            yield Note(f"not read as a test: {one_line(line)}", Place(file, text.line))


def shown(value: Value) -> str:
    """The value in one line, as a reader would say it."""
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, Items):
        return ", ".join(map(shown, value))
    assert isinstance(value, Table)
    return ", ".join(f"{key} {shown(child)}".rstrip() for key, child in value.items())
