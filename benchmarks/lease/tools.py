"""Runs commands as an installed trainci would: with its bytecode compiled."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path


class Bench:
    """A scratch folder, a lock directory in it, and the environment of every command."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="trainci-bench-"))
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRAINCI_", "PYTHON"))}

    def lease(self, devices: int, *arguments: str) -> list[str]:
        """A lease by the installed console script."""
        script = str(Path(sys.executable).parent / "trainci")
        return [script, "lease", "--lock-dir", str(self.folder / "locks"), "--virtual", str(devices), *arguments]


def summary(seconds: list[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    ordered = sorted(seconds)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
