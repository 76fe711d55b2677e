"""What a scheduler of several hosts did to a job says nothing about its test, but for memory and time."""

from __future__ import annotations

from collections.abc import Mapping

from trainci.model.diagnosis import Blame, Diagnosis
from trainci.model.run import Attempt, Cause, Outcome, Verdict
from trainci.verdict.ruling import placed

# Who cancels a job means it: that is not tried again, as what the machine's fault is would be.
_OUTCOMES: Mapping[Cause, tuple[Outcome, Blame]] = {
    Cause.PREEMPTED: (Outcome.MACHINE, Blame.MACHINE),
    Cause.REQUEUED: (Outcome.MACHINE, Blame.MACHINE),
    Cause.NODE_FAILED: (Outcome.MACHINE, Blame.MACHINE),
    Cause.CANCELLED: (Outcome.INTERRUPTED, Blame.MACHINE),
    Cause.OUT_OF_MEMORY: (Outcome.UNSURE, Blame.UNSURE),
    Cause.OUT_OF_TIME: (Outcome.TIMED_OUT, Blame.UNSURE),
}


def rule(attempt: Attempt) -> Verdict | None:
    """See Rule."""
    ending = attempt.ending
    if ending.cause not in _OUTCOMES:
        return None
    outcome, blame = _OUTCOMES[ending.cause]
    sentence = ending.detail or ending.cause.value
    diagnosis = Diagnosis(blame, ending.cause.value.replace(" ", "-"), sentence, f"fact: {ending.cause.value}")
    return Verdict(outcome, placed(attempt, sentence), diagnosis)
