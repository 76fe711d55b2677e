"""What never started, was lost, or says itself that the machine failed, is the machine's fault."""

from __future__ import annotations

from trainci.errors import EXIT_MACHINE
from trainci.model.run import Attempt, Cause, Outcome, Verdict
from trainci.verdict.ruling import placed


def rule(attempt: Attempt) -> Verdict | None:
    """See Rule."""
    fault = _fault(attempt)
    if not fault:
        return None
    return Verdict(Outcome.MACHINE, placed(attempt, fault))


def _fault(attempt: Attempt) -> str:
    ending = attempt.ending
    if ending.cause in (Cause.LOST, Cause.NEVER_STARTED):
        return ending.detail or ending.cause.value
    # The code's meaning is that of `trainci.testing.main`; to another file 3 is a number like any other.
    told = attempt.test.phased and ending.exit_code == EXIT_MACHINE
    return f"the test found the machine at fault (exit code {EXIT_MACHINE})" if told else ""
