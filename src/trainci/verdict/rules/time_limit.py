"""A test that its time limit ended has timed out, whatever it exited with."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.model.run import Attempt, Cause, Outcome, Verdict
from trainci.verdict.ruling import Ruling, placed


def rule(attempts: Sequence[Attempt]) -> Ruling | None:
    """See Rule."""
    last = attempts[-1]
    if last.ending.cause is not Cause.TIMED_OUT:
        return None
    then = f"; then {last.ending.detail}" if last.ending.detail else ""
    sentence = placed(last, f"ended by its time limit of {last.test.timeout:g} s{then}")
    return Ruling(Verdict(Outcome.TIMED_OUT, sentence, last.diagnosis))
