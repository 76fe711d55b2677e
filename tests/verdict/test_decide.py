from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from trainci.model import Attempt, Outcome, Result, Test, Verdict
from trainci.verdict.decide import MACHINE_TRIES, decide, exit_code

_TEST = Test("t", "t.py", timeout=60.0)


def _attempt(
    code: int | None = 0, *, timed_out: bool = False, interrupted: bool = False, lost: str = ""
) -> Attempt:
    return Attempt(_TEST, 1, 0.0, 10.0, 12.5, code, "log", (), timed_out, interrupted, lost)


def test_the_machine_is_at_fault_when_a_test_with_phases_says_so_twice() -> None:
    said = replace(_attempt(3), test=replace(_attempt(3).test, phased=True))
    assert decide([said]) is None
    assert decide([said, said]) == Verdict(Outcome.MACHINE, "the test found the machine at fault (exit code 3)")
    assert decide([_attempt(3)]) == Verdict(Outcome.FAILED, "exit code 3"), "a number like any other"


@pytest.mark.parametrize("code", [0, 1, -9, None])
@pytest.mark.parametrize("timed_out", [False, True])
@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("lost", ["", "gone"])
def test_every_ending_has_its_outcome(code: int | None, timed_out: bool, interrupted: bool, lost: str) -> None:
    attempt = _attempt(code, timed_out=timed_out, interrupted=interrupted, lost=lost)
    verdict = decide([attempt])
    if interrupted:
        assert verdict == Verdict(Outcome.INTERRUPTED, "interrupted before it ended")
    elif timed_out:
        assert verdict == Verdict(Outcome.TIMED_OUT, "ended by its time limit of 60 s")
    elif lost:
        assert verdict is None
        assert decide([attempt] * MACHINE_TRIES) == Verdict(Outcome.MACHINE, "gone")
    elif code == 0:
        assert verdict == Verdict(Outcome.PASSED, "in 2.5 s")
    else:
        assert verdict and verdict.outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (1, "exit code 1"),
        (255, "exit code 255"),
        (-9, "killed by SIGKILL (signal 9)"),
        (-11, "killed by SIGSEGV (signal 11)"),
        (-99, "killed by signal 99"),
        (None, "never started"),
    ],
)
def test_a_red_test_is_red_at_once_and_says_how_it_ended(code: int | None, sentence: str) -> None:
    assert decide([_attempt(code)]) == Verdict(Outcome.FAILED, sentence)


def test_only_the_last_attempt_counts_after_the_machines_fault() -> None:
    lost = _attempt(None, lost="gone")
    for last, outcome in ((_attempt(0), Outcome.PASSED), (_attempt(1), Outcome.FAILED)):
        verdict = decide([lost, last])
        assert verdict and verdict.outcome is outcome


def _expected(outcomes: set[Outcome]) -> int:
    for members, code in (
        ({Outcome.FAILED, Outcome.TIMED_OUT}, 1),
        ({Outcome.REFUSED}, 2),
        ({Outcome.MACHINE, Outcome.INTERRUPTED}, 3),
    ):
        if outcomes & members:
            return code
    return 3 if outcomes == {Outcome.SKIPPED} else 0


def test_every_combination_of_outcomes_has_the_code_of_the_worst_and_what_is_skipped_changes_none() -> None:
    # Another outcome must find its place in this table before it can exist.
    assert len(Outcome) == 7
    for count in range(len(Outcome) + 1):
        for outcomes in itertools.combinations(Outcome, count):
            results = [Result("t", Verdict(outcome, "")) for outcome in outcomes]
            assert exit_code(results) == _expected(set(outcomes)), outcomes
            assert exit_code(reversed(results)) == _expected(set(outcomes))
            assert exit_code(results, interrupted=True) == 130


def test_where_nothing_ran_it_is_green_only_on_virtual_devices_which_somebody_chose() -> None:
    skipped = Result("t", Verdict(Outcome.SKIPPED, ""))
    assert exit_code([skipped], virtual=True) == 0
    assert exit_code([skipped], virtual=False) == 3
    for outcome in (Outcome.FAILED, Outcome.REFUSED, Outcome.MACHINE):
        results = [skipped, Result("t", Verdict(outcome, ""))]
        assert exit_code(results, virtual=True) == exit_code(results[1:]) != 0
