"""Each ending in tests/cases/verdicts is called what it is."""

from __future__ import annotations

import pytest
from verdict.cases import Case, cases

from trainci.model.diagnosis import Blame

CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    outcome, diagnosis = case.judged()
    said = (outcome, diagnosis.blame.value, f"{diagnosis.rule}, line {diagnosis.line}: {diagnosis.evidence}")
    assert said[:2] == (case.expected["outcome"], case.expected["blame"]), said
    assert diagnosis.rule == case.expected.get("rule", diagnosis.rule), said
    assert case.expected.get("evidence", "") in diagnosis.evidence, said
    if diagnosis.line:
        line = case.log.decode("utf-8", "replace").split("\n")[diagnosis.line - 1]
        # It may go on below, or say what was asserted where the line does not.
        begins = diagnosis.evidence.partition(": ")[0]
        stands = diagnosis.evidence[:40].rstrip() in line or line.strip().rstrip(":").endswith(begins)
        assert stands, "the evidence stands where it is said to stand"


@pytest.mark.slow
def test_nothing_of_the_codes_is_ever_the_machines_fault() -> None:
    wrong = [
        case.name for case in CASES if case.expected["blame"] == "code" and case.judged()[1].blame is Blame.MACHINE
    ]
    assert not wrong


def test_there_are_as_many_endings_as_were_promised() -> None:
    assert len(CASES) >= 80
