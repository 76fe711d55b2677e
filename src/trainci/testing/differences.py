"""What differs between two values, and a table of it for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(differences) > SHOWN:
        lines.append(f"… and {len(differences) - SHOWN} more")
    return "\n".join(f"  {line}" for line in lines)
