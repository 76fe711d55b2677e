"""The table of benchmarks/results/mutants.md, from the rows of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from benchmarks.mutants.claims import UNIT

Row = dict[str, Any]
OUTCOMES = ("assertion", "crash", "hung", "survived", "equivalent")


def table(rows: list[Row], equivalent: Mapping[tuple[str, str], str], preface: str) -> str:
    """Rates by family, then every mutant with what noticed it, survivors first.

    ``equivalent`` says of some survivors, by file and what was changed, why they change nothing.
    """
    lines = ["# Mutants of examples/posttrain", "", preface, ""]
    rows = [_read(row, equivalent) for row in rows]
    for kind in ("by hand", "by rule"):
        own = [row for row in rows if row["kind"] == kind]
        if own:
            lines += [f"## {kind.capitalize()}", "", *_rates(own), "", *_mutants(own), ""]
    return "\n".join(lines)


def _read(row: Row, equivalent: Mapping[tuple[str, str], str]) -> Row:
    why = equivalent.get((row["file"], row["what"]))
    return {**row, "outcome": "equivalent", "said": why} if why and row["outcome"] == "survived" else row


def _rates(rows: list[Row]) -> list[str]:
    """Rates are of those that change anything; the last is of what others than unit tests notice."""
    columns = ("family", "mutants", "by an assertion", "by a crash", "hung", "survived", "equivalent", "noticed")
    columns += ("without unit tests",)
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for family in [*sorted({row["family"] for row in rows}), "all"]:
        some = [row for row in rows if family in (row["family"], "all")]
        counts = Counter(row["outcome"] for row in some)
        real = len(some) - counts["equivalent"]
        unit = sum(row["by"].startswith(UNIT) for row in some)
        shares = [
            f"{1 - missed / real:.1%}" if real else "–"
            for missed in (counts["survived"], counts["survived"] + unit)
        ]
        cells = [family, str(len(some)), *(str(counts[outcome]) for outcome in OUTCOMES), *shares]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _mutants(rows: list[Row]) -> list[str]:
    lines = ["| family | what | met in | file | outcome | by | what it said |", "|---|---|---|---|---|---|---|"]
    order = {
        outcome: place for place, outcome in enumerate(("survived", "equivalent", "hung", "crash", "assertion"))
    }
    for row in sorted(rows, key=lambda row: (order[row["outcome"]], row["family"], row["file"], row["what"])):
        file = row["file"].removeprefix("posttrain/")
        cells = (row["family"], row["what"], row["met"], file, row["outcome"], row["by"], row["said"][:140])
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return lines


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("`", "'").split()) or "–"
