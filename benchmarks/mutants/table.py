"""The table of benchmarks/results/mutants.md, from the rows of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

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
    """The rate is of those that change anything."""
    lines = [
        "| family | mutants | by an assertion | by a crash | hung | survived | equivalent | noticed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for family in [*sorted({row["family"] for row in rows}), "all"]:
        some = [row for row in rows if family in (row["family"], "all")]
        counts = Counter(row["outcome"] for row in some)
        real = len(some) - counts["equivalent"]
        share = f"{1 - counts['survived'] / real:.0%}" if real else "–"
        cells = [family, str(len(some)), *(str(counts[outcome]) for outcome in OUTCOMES), share]
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
