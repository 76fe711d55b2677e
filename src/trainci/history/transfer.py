"""A history as lines of JSON, from one store into another: a row a line, what others refer to before them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from itertools import groupby

from trainci.history.store import TABLES, Store, StoreBusy, StoreError


def export(store: Store) -> Iterator[str]:
    """All that ``store`` holds.

    :raises StoreError: it does not answer.
    """
    for table in TABLES:
        for row in store.rows(table):
            # A value that is no number is NULL in a store, too.
            plain = {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in row.items()}
            yield json.dumps({"table": table, "row": plain}, sort_keys=True)


class NotExported(ValueError):
    """A line is none of an exported history; the message says which, and why."""


def enter(store: Store, lines: Iterable[str | bytes]) -> None:
    """Add what ``export`` wrote; what is there already stays as it is.

    :raises StoreError: the store does not answer.
    :raises NotExported: a line is none of an exported history.
    """
    said = _Lines(lines)
    for table, rows in groupby(said, key=lambda one: one[0]):
        try:
            store.add_rows(table, (row for _, row in rows))
        except StoreBusy:
            raise
        except StoreError as error:
            raise NotExported(f"line {said.number}, or one before it: {error.reason}") from None


class _Lines:
    """Each line's table and row; ``number`` is that of the last one."""

    def __init__(self, lines: Iterable[str | bytes]) -> None:
        self._lines = lines
        self.number = 0

    def __iter__(self) -> Iterator[tuple[str, dict[str, object]]]:
        for line in self._lines:
            self.number += 1
            yield self._row(line)

    def _row(self, line: str | bytes) -> tuple[str, dict[str, object]]:
        try:
            said = json.loads(line)
            table, row = said["table"], said["row"]
            if table not in TABLES or not isinstance(row, dict):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise NotExported(f"line {self.number} is none of an exported history") from None
        if wrong := next((name for name, value in row.items() if not _fits(value)), None):
            raise NotExported(f"line {self.number}: {wrong!a} has a value that no history holds")
        return table, row


def _fits(value: object) -> bool:
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    if isinstance(value, float):
        return not math.isnan(value)
    return value is None or isinstance(value, str)
