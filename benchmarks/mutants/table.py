"""The table of benchmarks/results/mutants.md, from the rows of a run."""

from __future__ import annotations

from collections import Counter
from typing import Any

Row = dict[str, Any]


def table(rows: list[Row]) -> str:
    """Rates by family, then every mutant with what noticed it."""
    lines = ["# Mutants of examples/posttrain", ""]
    for kind in ("by hand", "by rule"):
        own = [row for row in rows if row["kind"] == kind]
        if not own:
            continue
        lines += [
            f"## {kind.capitalize()}",
            "",
            "| family | mutants | by an assertion | by a crash | hung | survived | killed |",
        ]
        lines += ["|---|---|---|---|---|---|---|"]
        for family in [*sorted({row["family"] for row in own}), "all"]:
            some = [row for row in own if family in (row["family"], "all")]
            counts = Counter(row["outcome"] for row in some)
            killed = 1 - counts["survived"] / len(some)
            numbers = [len(some), *(counts[name] for name in ("assertion", "crash", "hung", "survived"))]
            lines.append(f"| {family} | {' | '.join(map(str, numbers))} | {killed:.0%} |")
        lines += ["", "| what | met in | file | outcome | by | what it said |", "|---|---|---|---|---|---|"]
        for row in sorted(own, key=lambda row: (row["outcome"] != "survived", row["family"], row["file"])):
            cells = (
                row["what"],
                row["met"],
                row["file"].removeprefix("posttrain/"),
                row["outcome"],
                row["by"],
                row["said"][:140],
            )
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("`", "'").split()) or "–"
