"""The combinations of a job's ``strategy.matrix``, as far as they are constant."""

from __future__ import annotations

from itertools import product

from trainci.adopt.expressions import Context, Unknown, evaluate
from trainci.adopt.placed import Items, Table, Text, Value

# GitHub's own limit for one matrix.
_MOST = 256


def combinations(matrix: Value | None, context: Context) -> list[Table] | None:
    """Each combination as a table; one empty table without a matrix; None where only a run knows them."""
    known = _constant(matrix, context) if matrix is not None else Table()
    if not isinstance(known, Table):
        return None
    axes: dict[str, Items] = {}
    for name, value in known.items():
        if name in ("include", "exclude"):
            continue
        axis = _constant(value, context)
        if not isinstance(axis, Items):
            return None
        axes[name] = axis
    sizes = 1
    for axis in axes.values():
        sizes *= max(len(axis), 1)
    if sizes > _MOST:
        return None
    listed = [known[name] for name in ("include", "exclude") if name in known]
    if not all(isinstance(_constant(value, context), Items) for value in listed):
        return None
    made = [Table(dict(zip(axes, values, strict=True)), known.line) for values in product(*axes.values()) if axes]
    excluded = [row for row in _rows(known.get("exclude"), context) if row]
    made = [row for row in made if not any(row | other == row for other in excluded)]
    for extra in _rows(known.get("include"), context):
        _include(made, extra, set(axes))
    return made or [Table()]


def _include(made: list[Table], extra: Table, axes: set[str]) -> None:
    """Add the values of ``extra`` to each combination whose axes it does not change, else as one of its own."""
    fits = [row for row in made if axes and all(row.get(name) == extra[name] for name in axes & extra.keys())]
    for row in fits:
        row.update(extra)
    if not fits:
        made.append(extra)


def _rows(value: Value | None, context: Context) -> list[Table]:
    rows = _constant(value, context) if value is not None else Items()
    return [row for row in rows if isinstance(row, Table)] if isinstance(rows, Items) else []


def _constant(value: Value, context: Context) -> Value | None:
    """The value, or that of the expression that it is."""
    if not isinstance(value, Text):
        return value
    text = value.strip()
    if text.startswith("${{") and text.endswith("}}") and text.count("${{") == 1:
        known = evaluate(text[3:-2], context)
        return None if isinstance(known, Unknown) else known
    return value
