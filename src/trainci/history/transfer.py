"""A history as lines of JSON, from one store into another: a row a line, what others refer to before them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from itertools import groupby

from trainci.history.store import TABLES, Store, StoreError


def export(store: Store) -> Iterator[str]:
    """All that ``store`` holds.

    :raises StoreError: it does not answer.
    """
    for table in TABLES:
        for row in store.rows(table):
            # A value that is no number is NULL in a store, too.
            plain = {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in row.items()}
            yield json.dumps({"table": table, "row": plain}, sort_keys=True)


def enter(store: Store, lines: Iterable[str]) -> None:
    """Add what ``export`` wrote; what is there already stays as it is.

    :raises StoreError: the store does not answer, or a line is none of an exported history.
    """
    for table, rows in groupby(map(_row, range(1, 1 << 62), lines), key=lambda one: one[0]):
        store.add_rows(table, (row for _, row in rows))


def _row(number: int, line: str) -> tuple[str, dict[str, object]]:
    try:
        said = json.loads(line)
        table, row = said["table"], said["row"]
        if table not in TABLES or not isinstance(row, dict):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StoreError(f"line {number}", "it is none of an exported history") from None
    return table, row
