"""The suites of a job of any CI, once its steps are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from trainci.adopt.github.steps import StepReader
from trainci.adopt.proposal import Place, Suite


def of_job(suites: Sequence[Suite], reader: StepReader, name: str, place: Place) -> Iterator[Suite]:
    """Each with its place and with what could not be carried over; of no suite the latter only."""
    if not suites and reader.unread:
        yield Suite(name=name, notes=tuple(reader.unread))
    for suite in suites:
        yield from or_registered(replace(suite, place=place, notes=(*reader.notes, *reader.unread)), reader)


def or_registered(suite: Suite, reader: StepReader) -> Iterator[Suite]:
    """The suite, if it has tests; instead of it, those that its tests register themselves for."""
    if suite.tests and not reader.registered:
        yield suite
    for registered, parts in reader.registered.items():
        yield replace(suite, name=registered, registers=True, jobs=parts if parts and parts > 1 else None)
