"""What every benchmark shares: interleaved timing, a table, and a record with its conditions."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def interleaved(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each action, ``rounds`` times, taking turns so that a busy moment hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            begin = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def command(*argv: str, cwd: Path | None = None) -> Callable[[], object]:
    """An action that runs a command and requires it to succeed."""
    return lambda: subprocess.run(argv, cwd=cwd, env=environment(), check=True, stdout=subprocess.DEVNULL)


def environment() -> dict[str, str]:
    """What a user's shell has: without the switch that makes Python compile every module at every start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def ratio_rows(seconds: Mapping[str, Sequence[float]], reference: str) -> list[list[str]]:
    """Rows of name, median and 95th percentile in ms, and the median's ratio to the reference's."""
    base = statistics.median(seconds[reference])
    rows = [["what", "median ms", "p95 ms", f"ratio to {reference}"]]
    for name, values in seconds.items():
        median = statistics.median(values)
        p95 = statistics.quantiles(values, n=20)[-1]
        rows.append([name, f"{median * 1e3:.1f}", f"{p95 * 1e3:.1f}", f"{median / base:.2f}"])
    return rows


def conditions() -> str:
    """The machine in one line, without its name."""
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}"
    )


def record(name: str, title: str, rows: Sequence[Sequence[str]], notes: str = "") -> None:
    """Print the table, and keep it in ``benchmarks/results/NAME.md`` with its conditions."""
    header, *body = rows
    lines = [f"# {title}", "", f"Conditions: {conditions()}.", ""]
    lines += ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *body)]
    if notes:
        lines += ["", notes]
    text = "\n".join(lines) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    print(text)
