"""What the page of a run costs: `python -m benchmarks.report`. First paint is Chromium's own measure."""

from __future__ import annotations

import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import record

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from browser.runs import made

from trainci.history.runs import run_of
from trainci.reports.page import page
from trainci.reports.timeline import slices

_SIZES = ((200, 8), (10_000, 64))
_PAINT = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0] || 0"
_OPENED = 5


def main() -> None:
    """Write benchmarks/results/report.md."""
    rows = [["tests", "devices", "file", "written in", "first paint (median)", "requests besides the file"]]
    with tempfile.TemporaryDirectory() as folder:
        for tests, devices in _SIZES:
            root = Path(folder) / str(tests)
            root.mkdir()
            told = made(root, tests, devices)
            began = time.perf_counter()
            content = page(run_of(told), slices(told), root, {}, root)
            seconds = time.perf_counter() - began
            file = root / "report.html"
            file.write_bytes(content)
            paints, requests = _opened(file)
            rows.append(
                [
                    f"{tests:,}",
                    str(devices),
                    f"{len(content) / 1000:,.0f} kB",
                    f"{seconds:.2f} s",
                    f"{statistics.median(paints):.0f} ms",
                    str(requests),
                ]
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    record(
        "report",
        "What the page of a run costs",
        rows,
        f"Every tenth test is red, each with a log. Chromium (headless) opens the file {_OPENED} times. The "
        f"largest resident set of this process was {peak} MiB.",
    )


def _opened(file: Path) -> tuple[list[float], int]:
    from playwright.sync_api import sync_playwright

    paints, requests = [], 0
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(_OPENED):
            shown = chromium.new_page(bypass_csp=True)
            seen: list[str] = []
            shown.on("request", lambda request, seen=seen: seen.append(request.url))
            shown.goto(file.as_uri())
            shown.wait_for_function(_PAINT)
            paints.append(shown.evaluate(_PAINT))
            requests = max(requests, len(seen) - 1)
            shown.close()
        chromium.close()
    return paints, requests


if __name__ == "__main__":
    main()
