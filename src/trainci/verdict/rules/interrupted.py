"""What was ended by the user, or for another test's failure, says nothing about the test."""

from __future__ import annotations

from trainci.model.run import Attempt, Cause, Outcome, Verdict


def rule(attempt: Attempt) -> Verdict | None:
    """See Rule."""
    if attempt.ending.cause is not Cause.INTERRUPTED:
        return None
    return Verdict(Outcome.INTERRUPTED, "interrupted before it ended")
