"""Pure: tests as the entries of a job's matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from trainci.model import Selection, Test

# https://docs.github.com/actions/reference/limits: a matrix makes at most 256 jobs for each run of a workflow.
LARGEST_MATRIX = 256
# A job of a self-hosted runner may take five days.
_LONGEST_JOB_MINUTES = 5 * 24 * 60


def entries(selection: Selection, queue: float) -> list[dict[str, Any]]:
    """One matrix entry for each test of ``selection``, or for several tests once there are more than 256.

    What was refused has an entry too: its job says why, and is red. ``queue`` (seconds) is added to each entry's
    time limit, for the wait in the host's queue and the installation.
    """
    tests = [item.test for item in selection.tests]
    tests += [Test(refused.test_id, "", timeout=60) for refused in selection.refused]
    size = math.ceil(len(tests) / LARGEST_MATRIX)
    return [_entry(tests[at : at + size], queue) for at in range(0, len(tests), size or 1)]


def _entry(tests: Sequence[Test], queue: float) -> dict[str, Any]:
    minutes = math.ceil((sum(test.timeout for test in tests) + queue) / 60)
    entry: dict[str, Any] = {
        # No id holds a newline; `trainci run --id` takes several ids one a line.
        "test_id": "\n".join(test.id for test in tests),
        "num_gpus": max(test.num_gpus for test in tests),
        "timeout_minutes": min(minutes, _LONGEST_JOB_MINUTES),
    }
    if len(tests) > 1:
        entry["title"] = f"{len(tests)} tests from {tests[0].id}"
    return entry
