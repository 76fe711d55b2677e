"""What was ended by the user, or for another test's failure, says nothing about the test."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.model.run import Attempt, Cause, Outcome, Verdict
from trainci.verdict.ruling import Ruling


def rule(attempts: Sequence[Attempt]) -> Ruling | None:
    """See Rule."""
    if attempts[-1].ending.cause is not Cause.INTERRUPTED:
        return None
    return Ruling(Verdict(Outcome.INTERRUPTED, "interrupted before it ended"))
