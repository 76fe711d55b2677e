"""Each ending in tests/cases/verdicts is called what it is."""

from __future__ import annotations

from collections import defaultdict

import pytest
from verdict.cases import Case, cases

from trainci.model.diagnosis import Blame

CASES = list(cases())
# Of a set, or of folders whose names begin alike.
GROUPS: defaultdict[str, list[Case]] = defaultdict(list)
for each in CASES:
    GROUPS[each.name.partition("_")[0]].append(each)


@pytest.mark.parametrize("group", GROUPS)
def test_case(group: str) -> None:
    wrong = {case.name: fault for case in GROUPS[group] if (fault := _fault(case))}
    assert not wrong, "\n".join(f"{name}: {fault}" for name, fault in wrong.items())


def _fault(case: Case) -> str:
    """What is wrong with what is said of it, if anything is."""
    outcome, diagnosis = case.judged()
    said = f"{outcome}, {diagnosis.blame.value}, {diagnosis.rule}, line {diagnosis.line}: {diagnosis.evidence}"
    as_expected = (
        (outcome, diagnosis.blame.value) == (case.expected["outcome"], case.expected["blame"])
        and diagnosis.rule == case.expected.get("rule", diagnosis.rule)
        and case.expected.get("evidence", "") in diagnosis.evidence
    )
    if not as_expected:
        return f"{said}; and not {case.expected}"
    if diagnosis.line:
        line = case.log.decode("utf-8", "replace").split("\n")[diagnosis.line - 1]
        # It may go on below, or say what was asserted where the line does not.
        begins = diagnosis.evidence.partition(": ")[0]
        goes_on = line.strip().rstrip(":").endswith(begins) or diagnosis.evidence.startswith(line.strip() or ": ")
        if diagnosis.evidence[:40].rstrip() not in line and not goes_on:
            return f"{said}; and the evidence stands not where it is said to stand"
    return ""


@pytest.mark.slow
def test_nothing_of_the_codes_is_ever_the_machines_fault() -> None:
    wrong = [
        case.name for case in CASES if case.expected["blame"] == "code" and case.judged()[1].blame is Blame.MACHINE
    ]
    assert not wrong


def test_there_are_as_many_endings_as_were_promised() -> None:
    assert len(CASES) >= 80
