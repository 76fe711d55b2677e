"""The combinations of a job's ``strategy.matrix``, as far as they are constant."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod

from trainci.adopt.github.expressions import Context, Unknown, evaluate
from trainci.adopt.placed import Items, Table, Text, Value

# GitHub's own limit for one matrix.
_MOST = 256


def combinations(matrix: Value | None, context: Context) -> list[Table]:
    """Each combination as a table, which is not whole where only a run knows an axis or more combinations.

    One table without a matrix, and where only a run knows all of it.
    """
    known = _constant(matrix, context) if matrix is not None else Table()
    if not isinstance(known, Table):
        return [Table(whole=False)]
    said = {name: _constant(value, context) for name, value in known.items()}
    parts = {name: value for name, value in said.items() if isinstance(value, Items)}
    axes = {name: value for name, value in parts.items() if name not in ("include", "exclude")}
    if prod(max(len(axis), 1) for axis in axes.values()) > _MOST:
        return [Table(whole=False)]
    rows = product(*axes.values()) if axes or said.keys() > parts.keys() else ()
    made = [Table(dict(zip(axes, row, strict=True)), known.line, whole=said.keys() == parts.keys()) for row in rows]
    excluded = [row for row in _rows(parts, "exclude") if row]
    made = [row for row in made if not any(row | other == row for other in excluded)]
    for extra in _rows(parts, "include"):
        _include(made, extra, set(axes), said.keys() - parts.keys())
    return made or [Table()]


def _include(made: list[Table], extra: Table, axes: set[str], unknown: set[str]) -> None:
    """Add the values of ``extra`` to each combination whose axes it does not change, else as one of its own."""
    fits = [row for row in made if axes and all(row.get(name) == extra[name] for name in axes & extra.keys())]
    if unknown & extra.keys():
        fits = []
    for row in fits:
        row.update(extra)
    if not fits:
        made.append(extra)


def _rows(parts: Mapping[str, Items], name: str) -> list[Table]:
    return [row for row in parts.get(name, ()) if isinstance(row, Table)]


def _constant(value: Value, context: Context) -> Value | None:
    """The value, or that of the expression that it is."""
    if not isinstance(value, Text):
        return value
    text = value.strip()
    if text.startswith("${{") and text.endswith("}}") and text.count("${{") == 1:
        known = evaluate(text[3:-2], context)
        return None if isinstance(known, Unknown) else known
    return value
