"""What the log and the facts say is the machine's fault, or may be; the code's is left to how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.model.diagnosis import Blame
from trainci.model.run import Attempt, Cause, Outcome, Verdict
from trainci.verdict.ruling import Ruling, placed


def rule(attempts: Sequence[Attempt]) -> Ruling | None:
    """See Rule."""
    last = attempts[-1]
    diagnosis = last.diagnosis
    if diagnosis is None or last.ending.passed:
        return None
    sentence = placed(last, diagnosis.sentence)
    if diagnosis.blame is Blame.MACHINE:
        return Ruling(Verdict(Outcome.MACHINE, sentence, diagnosis))
    if diagnosis.blame is Blame.UNSURE and last.ending.cause not in (Cause.TIMED_OUT, Cause.HUNG):
        return Ruling(Verdict(Outcome.UNSURE, sentence, diagnosis))
    return None
