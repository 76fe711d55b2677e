"""What differs between two values, and a table of it for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainci.text import columns, counted

SHOWN = 20
"""How many differences a table shows."""


@dataclass(frozen=True)
class Difference:
    """One place where two values differ, in words.

    ``actual`` and ``expected`` are what stands there: for tensors the element that is furthest off, whose index is
    part of ``where``. ``gap`` and ``relative`` are ``|actual - expected|`` and that divided by ``|expected|``,
    empty where no number can be given. ``note`` says what else there is to know ("3 of 64 elements", "shape").
    """

    where: str
    actual: str
    expected: str
    gap: str = ""
    relative: str = ""
    note: str = ""


def table(differences: Sequence[Difference]) -> str:
    """The first SHOWN of ``differences``, one a line under a heading, and how many more there are."""
    rows = [("where", "actual", "expected", "abs", "rel", "")]
    rows += [(d.where, d.actual, d.expected, d.gap, d.relative, d.note) for d in differences[:SHOWN]]
    lines = columns(rows)
    if len(differences) > SHOWN:
        lines.append(f"… and {len(differences) - SHOWN} more")
    return "\n".join(f"  {line}" for line in lines)


def told(differences: Sequence[Difference], what: str, rtol: float, atol: float) -> str:
    """What an assertion says of them: ``what`` it found, in how many places, and the table."""
    places = counted(len(differences), "place")
    return f"{what} in {places} (rtol={rtol:g}, atol={atol:g}):\n{table(differences)}"
