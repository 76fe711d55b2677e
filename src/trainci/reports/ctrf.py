"""A run as CTRF, the Common Test Report Format (https://ctrf.io, version 0.0.0 of its specification)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from trainci import __version__
from trainci.model.run import Attempt, Outcome, Result, Run
from trainci.reports import telling_lines
from trainci.reports.reason import place, reason
from trainci.verdict.decide import fails

_STATUSES = {Outcome.PASSED: "passed", Outcome.FLAKY: "passed", Outcome.SKIPPED: "skipped"}
_ITEM_STATUSES = {"passed": "passed", "skipped": "skipped"}
_TELLING_LINES = 50


def ctrf(run: Run, root: Path) -> bytes:
    """The report of ``run``, whose logs are below ``root``. Times are milliseconds."""
    tests = [_test(run, result, root) for result in run.results]
    statuses = [test["status"] for test in tests]
    summary = {name: statuses.count(name) for name in ("passed", "failed", "skipped", "pending", "other")}
    times = {"start": _milliseconds(run.started_at), "stop": _milliseconds(run.ended_at)}
    results = {
        "tool": {"name": "trainci", "version": __version__},
        "summary": {"tests": len(tests), **summary, **times},
        "tests": tests,
        "environment": {"commit": run.commit, "testEnvironment": run.devices, "extra": {"run": run.id}},
    }
    at = datetime.fromtimestamp(run.ended_at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = {
        "reportFormat": "CTRF",
        "specVersion": "0.0.0",
        "timestamp": at,
        "generatedBy": f"trainci {__version__}",
    }
    return json.dumps({**head, "results": results}).encode()


def _test(run: Run, result: Result, root: Path) -> dict[str, Any]:
    verdict, attempts = result.verdict, result.attempts
    at = place(run, result)
    found: dict[str, Any] = {
        "name": result.test_id,
        "status": "other" if verdict.excused else _status(result),
        "rawStatus": verdict.outcome.value,
        "duration": _milliseconds(sum(attempt.duration for attempt in attempts)),
        "retries": max(0, len(attempts) - 1),
        "flaky": verdict.outcome is Outcome.FLAKY,
        "extra": {"replay": run.replay.get(result.test_id, ""), "sentence": verdict.sentence},
    }
    if attempts:
        found |= {"start": _milliseconds(attempts[0].queued_at), "stop": _milliseconds(attempts[-1].ended_at)}
        found["extra"]["devices"] = list(attempts[-1].devices)
        found["steps"] = list(_steps(attempts[-1]))
    if verdict.outcome is not Outcome.PASSED:
        found["message"] = reason(verdict)
    if at:
        found["filePath"] = at.file
    if at and at.line:
        found["line"] = at.line
    if attempts and found["status"] in ("failed", "other"):
        found["trace"] = "\n".join(telling_lines(root / attempts[-1].log, verdict.diagnosis, _TELLING_LINES))
    return found


def _steps(attempt: Attempt) -> Iterator[dict[str, Any]]:
    for item in attempt.results.items if attempt.results else ():
        yield {"name": item.name, "status": _ITEM_STATUSES.get(item.outcome, "failed")}


def _status(result: Result) -> str:
    """CTRF has no word for what is not the test's fault but ``other``."""
    outcome = result.verdict.outcome
    if outcome is Outcome.FLAKY and fails(result):
        return "failed"
    if outcome in (Outcome.MACHINE, Outcome.INTERRUPTED, Outcome.REFUSED):
        return "other"
    return _STATUSES.get(outcome, "failed")


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
