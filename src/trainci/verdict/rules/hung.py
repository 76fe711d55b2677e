"""A test that showed no progress and was ended for it has hung, whatever it exited with."""

from __future__ import annotations

from trainci.model.run import Attempt, Cause, Outcome, Verdict
from trainci.verdict.ruling import placed


def rule(attempt: Attempt) -> Verdict | None:
    """See Rule."""
    if attempt.ending.cause is not Cause.HUNG:
        return None
    return Verdict(Outcome.HUNG, placed(attempt, attempt.ending.detail), attempt.diagnosis)
