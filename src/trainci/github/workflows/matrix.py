"""Pure: tests as the entries of a job's matrix."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainci.model.project import Suite
from trainci.model.selection import Selection
from trainci.model.tests import Settings, Test
from trainci.verdict.gates import RUNS

# https://docs.github.com/actions/reference/limits: a matrix makes at most 256 jobs for each run of a workflow.
LARGEST_MATRIX = 256
# A job of a self-hosted runner may take five days.
_LONGEST_JOB_MINUTES = 5 * 24 * 60


def entries(
    selection: Selection,
    queue: float,
    suite: Suite | None = None,
    expected: Mapping[str, float] | None = None,
    *,
    varies: bool = False,
) -> list[dict[str, Any]]:
    """The jobs of ``suite``: one for each test of ``selection``, unless it says in how many they go.

    What was refused has a place too: its job says why, and is red. ``queue`` (seconds) is added to each job's
    time limit, for the wait in the host's queue and the installation. ``expected`` maps ids to seconds, by which
    the tests are spread; else what a test registers as its time, else its time limit. With ``varies`` each job has
    the Python and the script that install what its tests need.
    """
    tests = [item.test for item in selection.tests]
    tests += [Test(refused.test_id, "", timeout=60) for refused in selection.refused]
    return [_entry(some, queue, varies) for some in _spread(tests, suite, expected or {})]


def installing(tests: Iterable[Settings]) -> tuple[str, str]:
    """The Python and the shell lines that ``tests`` need, each line once; the first Python of several."""
    said = list(tests)
    versions = (one.python_version for one in said if one.python_version)
    scripts = ("\n".join([*one.setup, *([one.install] if one.install else [])]) for one in said)
    return next(versions, ""), "\n".join(dict.fromkeys(script for script in scripts if script))


def _spread(tests: list[Test], suite: Suite | None, expected: Mapping[str, float]) -> list[list[Test]]:
    if suite and suite.pack:
        return [tests] if tests else []
    if suite and suite.shards:
        return _shards(tests, min(suite.shards, len(tests)), expected)
    size = math.ceil(len(tests) / LARGEST_MATRIX)
    return [tests[at : at + size] for at in range(0, len(tests), size or 1)]


def _shards(tests: Sequence[Test], count: int, expected: Mapping[str, float]) -> list[list[Test]]:
    """``count`` lists that should take equally long: the longest test first, each to the list with least to do."""
    shards: list[list[Test]] = [[] for _ in range(count)]
    seconds = [0.0] * count

    def length(test: Test) -> float:
        return expected.get(test.id, test.timeout if test.expected is None else test.expected)

    for test in sorted(tests, key=length, reverse=True):
        least = seconds.index(min(seconds))
        shards[least].append(test)
        seconds[least] += length(test)
    return shards


def _entry(tests: Sequence[Test], queue: float, varies: bool) -> dict[str, Any]:
    minutes = math.ceil((sum(map(_longest, tests)) + queue) / 60)
    entry: dict[str, Any] = {
        # No id holds a newline; `trainci run --id` takes several ids one a line.
        "test_id": "\n".join(test.id for test in tests),
        "num_gpus": max(test.num_gpus for test in tests),
        "timeout_minutes": min(minutes, _LONGEST_JOB_MINUTES),
    }
    if len(tests) > 1:
        entry["title"] = f"{len(tests)} tests from {tests[0].id}"
    if varies:
        entry["python_version"], entry["install"] = installing(tests)
    return entry


def _longest(test: Test) -> float:
    """How many seconds it may take, repeated where a metric of its is suspicious."""
    return test.timeout * (RUNS if any(gate.by_history for gate in test.metrics) else 1)
