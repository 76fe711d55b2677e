"""Pure: the past of a test in a line, from what became of it in its runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from trainci.answers.values import PastResult, TestSummary
from trainci.model.run import Outcome


def summary(test_id: str, results: Sequence[PastResult]) -> TestSummary:
    """Of ``results``, the newest first and at least one."""
    passed = [result for result in results if result.outcome in (Outcome.PASSED.value, Outcome.FLAKY.value)]
    flaky = [result for result in passed if result.outcome == Outcome.FLAKY.value]
    took = [result.duration for result in passed if result.duration is not None]
    return TestSummary(
        id=test_id,
        runs=len(results),
        passed=len(passed),
        flaky=len(flaky) / len(results),
        median=statistics.median(took) if took else None,
        last=results[0].outcome,
    )
