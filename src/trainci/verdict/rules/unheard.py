"""What failed inside of a test outweighs an exit code of 0 that does not tell it."""

from __future__ import annotations

from trainci.model.diagnosis import Blame, Diagnosis
from trainci.model.run import Attempt, Outcome, Verdict

_MOST = 3


def rule(attempt: Attempt) -> Verdict | None:
    """See Rule; silent on what is no more than worth a note."""
    certain = [failure.sentence for failure in attempt.failures if failure.certain]
    if not attempt.ending.passed or not certain:
        return None
    more = f"; and {len(certain) - _MOST} more" if len(certain) > _MOST else ""
    sentence = f"exit code 0, but {'; '.join(certain[:_MOST])}{more}"
    diagnosis = Diagnosis(Blame.CODE, "unheard", sentence, "fact: how its processes ended")
    return Verdict(Outcome.FAILED, sentence, diagnosis)
