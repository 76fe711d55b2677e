"""What the log and the facts say is the machine's fault, or may be; the code's is left to how it ended."""

from __future__ import annotations

from trainci.model.diagnosis import Blame
from trainci.model.run import Attempt, Cause, Outcome, Verdict
from trainci.verdict.ruling import placed


def rule(attempt: Attempt) -> Verdict | None:
    """See Rule."""
    diagnosis = attempt.diagnosis
    if diagnosis is None or attempt.ending.passed:
        return None
    sentence = placed(attempt, diagnosis.sentence)
    if diagnosis.blame is Blame.MACHINE:
        return Verdict(Outcome.MACHINE, sentence, diagnosis)
    if diagnosis.blame is Blame.UNSURE and attempt.ending.cause not in (Cause.TIMED_OUT, Cause.HUNG):
        return Verdict(Outcome.UNSURE, sentence, diagnosis)
    return None
