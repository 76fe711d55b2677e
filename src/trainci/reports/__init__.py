"""A finished Run, rendered. Reports are made from the Run and the logs, and never stored."""

from __future__ import annotations

import os
from pathlib import Path

from trainci.model import Item, Result, Verdict
from trainci.text import printable


def items_of(result: Result, most: int) -> tuple[tuple[Item, ...], int]:
    """Up to ``most`` items of the last attempt, those first that did not pass; and how many more there are."""
    last = result.attempts[-1].results if result.attempts else None
    items = last.items if last else ()
    if len(items) > most:
        items = tuple(sorted(items, key=lambda item: item.outcome == "passed"))
    return items[:most], max(0, len(items) - most)


def last_lines(log: Path, count: int, limit: int = 16384) -> list[str]:
    """The last ``count`` lines of a log, from its last ``limit`` bytes; empty when there is no log.

    What a progress bar overwrote with carriage returns is left out.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return [line for line in lines if line.strip()][-count:]


def why(verdict: Verdict) -> str:
    """Whose fault a verdict finds it, by which rule, and the line of the log or the fact that says so."""
    diagnosis = verdict.diagnosis
    if diagnosis is None:
        return ""
    place = f"line {diagnosis.line}" if diagnosis.line else "the facts"
    evidence = f": {printable(diagnosis.evidence)}" if diagnosis.evidence else ""
    return f"{diagnosis.blame.value} ({diagnosis.rule}), {place}{evidence}"
