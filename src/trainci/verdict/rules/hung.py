"""A test that showed no progress and was ended for it has hung, whatever it exited with."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.model.run import Attempt, Cause, Outcome, Verdict
from trainci.verdict.ruling import Ruling, placed


def rule(attempts: Sequence[Attempt]) -> Ruling | None:
    """See Rule."""
    last = attempts[-1]
    if last.ending.cause is not Cause.HUNG:
        return None
    return Ruling(Verdict(Outcome.HUNG, placed(last, last.ending.detail), last.diagnosis))
