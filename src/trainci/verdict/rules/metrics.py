"""A gated metric outweighs an exit code of 0, where it is missing, no number, or out of its bounds."""

from __future__ import annotations

from trainci.model.diagnosis import Blame, Diagnosis
from trainci.model.run import Attempt, Outcome, Phase, Verdict
from trainci.verdict.gates import fault


def rule(attempt: Attempt) -> Verdict | None:
    """See Rule."""
    if not attempt.ending.passed or attempt.phase is Phase.PREPARE:
        return None
    faults = [said for gate in attempt.test.metrics if (said := fault(gate, attempt))]
    if not faults:
        return None
    sentence = "; ".join(faults)
    return Verdict(Outcome.FAILED, sentence, Diagnosis(Blame.CODE, "metric", sentence, "fact: recorded metrics"))
