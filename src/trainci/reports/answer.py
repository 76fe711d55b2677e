"""Pure: a run as the answer that ``--json`` prints."""

from __future__ import annotations

from collections import Counter

from trainci.answers.values import FinishedRun, Place, RunAttempt, RunItem, RunTest, Why
from trainci.model.diagnosis import Diagnosis
from trainci.model.run import Attempt, Result, Run
from trainci.reports.reason import reason


def finished(run: Run) -> FinishedRun:
    """The whole run."""
    return FinishedRun(
        id=run.id,
        commit=run.commit,
        started_at=run.started_at,
        ended_at=run.ended_at,
        devices=run.devices,
        exit_code=run.exit_code,
        counts=dict(Counter(result.verdict.outcome.value for result in run.results)),
        tests=tuple(_test(run, result) for result in run.results),
    )


def _test(run: Run, result: Result) -> RunTest:
    verdict = result.verdict
    return RunTest(
        id=result.test_id,
        outcome=verdict.outcome.value,
        sentence=verdict.sentence,
        reason=reason(verdict),
        why=_why(verdict.diagnosis) if verdict.diagnosis else None,
        attempts=tuple(map(_attempt, result.attempts)),
        replay=run.replay.get(result.test_id, ""),
    )


def _why(diagnosis: Diagnosis) -> Why:
    frame = diagnosis.frame
    return Why(
        blame=diagnosis.blame.value,
        rule=diagnosis.rule,
        sentence=diagnosis.sentence,
        evidence=diagnosis.evidence,
        log_line=diagnosis.line,
        place=Place(frame.file, frame.line) if frame else None,
    )


def _attempt(attempt: Attempt) -> RunAttempt:
    ending = attempt.ending
    items = attempt.results.items if attempt.results else ()
    return RunAttempt(
        number=attempt.number,
        queued_at=attempt.queued_at,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        duration=attempt.duration,
        devices=attempt.devices,
        cause=ending.cause.value,
        exit_code=ending.exit_code,
        signal=ending.signal,
        detail=ending.detail,
        log=attempt.log,
        items=tuple(RunItem(item.name, item.outcome, item.seconds, item.message) for item in items),
    )
