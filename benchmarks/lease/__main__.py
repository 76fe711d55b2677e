"""Prints the table and writes it to benchmarks/results/lease.md."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from benchmarks.lease import fortnight, handover, starvation, wrapping
from benchmarks.lease.tools import Bench

TRIALS = 31


def main() -> None:
    bench = Bench()
    try:
        rows = [
            *wrapping.rows(bench, TRIALS),
            *handover.rows(bench, TRIALS),
            *starvation.rows(bench),
            *fortnight.rows(),
        ]
    finally:
        shutil.rmtree(bench.folder)
    conditions = (
        f"{TRIALS} trials, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, "
        f"Linux {platform.release()}, Python {platform.python_version()}, virtual devices, no GPU. "
        "Ratios are to flock(1), `python -c pass`, or greedy, measured in the same run."
    )
    lines = ["# The lease, measured", "", conditions, "", "| what | measured | ratio |", "|---|---|---|"]
    text = "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"
    sys.stdout.write(text)
    Path("benchmarks/results/lease.md").write_text(text)


if __name__ == "__main__":
    main()
