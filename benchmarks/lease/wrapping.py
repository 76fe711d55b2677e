"""What a lease costs when nobody else wants the device: around ``true``, against ``python -c pass``."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.lease.tools import Bench, summary
from benchmarks.measure import interleaved

DIRECT = "import sys; from trainci.__main__ import main; sys.exit(main())"


def rows(bench: Bench, trials: int) -> list[tuple[str, str, str]]:
    """One row for the console script, and one for the same without what pip writes around it."""
    script = bench.lease(8, "--", "true")
    cases = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "trainci lease -- true, console script": script,
        "trainci lease -- true, without pip's wrapper": [sys.executable, "-c", DIRECT, *script[1:]],
    }
    actions = {
        name: partial(subprocess.run, command, env=bench.environment, check=True) for name, command in cases.items()
    }
    times = interleaved(actions, trials + 2)
    reference = summary(times["python -c pass"][2:])[0]
    medians = {name: summary(found[2:])[0] for name, found in times.items()}
    wrapper = "imports re" if "import re" in Path(script[0]).read_text() else "does not import re"
    return [
        (
            name + (f" ({wrapper})" if "console" in name else ""),
            f"{median * 1e3:.1f} ms",
            f"{median / reference:.2f}",
        )
        for name, median in medians.items()
    ]
