"""A test that its time limit ended has timed out, whatever it exited with."""

from __future__ import annotations

from trainci.model.run import Attempt, Cause, Outcome, Verdict
from trainci.verdict.ruling import placed


def rule(attempt: Attempt) -> Verdict | None:
    """See Rule."""
    if attempt.ending.cause is not Cause.TIMED_OUT:
        return None
    then = f"; then {attempt.ending.detail}" if attempt.ending.detail else ""
    sentence = placed(attempt, f"ended by its time limit of {attempt.test.timeout:g} s{then}")
    return Verdict(Outcome.TIMED_OUT, sentence, attempt.diagnosis)
