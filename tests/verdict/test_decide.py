from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from trainci.model.run import Attempt, Cause, Ending, Outcome, Phase, Result, Verdict
from trainci.model.tests import Test
from trainci.verdict.decide import decide, exit_code, fails

TRIES = 2

_TEST = Test("t", "t.py", timeout=60.0)


def _attempt(ending: Ending, phase: Phase = Phase.BOTH) -> Attempt:
    return Attempt(_TEST, 1, 0.0, 10.0, 12.5, ending, "log", phase=phase)


def _exited(code: int) -> Attempt:
    return _attempt(Ending(Cause.EXITED, code))


def test_the_machine_is_at_fault_when_a_test_with_phases_says_so_twice() -> None:
    said = replace(_exited(3), test=replace(_TEST, phased=True))
    assert decide([said]) is None
    assert decide([said, said]) == Verdict(Outcome.MACHINE, "the test found the machine at fault (exit code 3)")
    assert decide([_exited(3)]) == Verdict(Outcome.FAILED, "exit code 3"), "a number like any other"


@pytest.mark.parametrize("cause", Cause)
def test_every_ending_has_its_outcome(cause: Cause) -> None:
    exits = [(0, None), (1, None), (None, 9), (None, None)]
    for (code, number), detail, phase in itertools.product(exits, ["", "gone"], Phase):
        _has_its_outcome(_attempt(Ending(cause, code, number, detail), phase))


def _has_its_outcome(attempt: Attempt) -> None:
    cause, code, detail = attempt.ending.cause, attempt.ending.exit_code, attempt.ending.detail
    verdict = decide([attempt])
    where = "in its prepare phase: " if attempt.phase is Phase.PREPARE else ""
    match cause:
        case Cause.INTERRUPTED:
            assert verdict == Verdict(Outcome.INTERRUPTED, "interrupted before it ended")
        case Cause.TIMED_OUT:
            then = f"; then {detail}" if detail else ""
            assert verdict == Verdict(Outcome.TIMED_OUT, f"{where}ended by its time limit of 60 s{then}")
        case Cause.HUNG:
            assert verdict == Verdict(Outcome.HUNG, f"{where}{detail}")
        case Cause.LOST | Cause.NEVER_STARTED:
            assert verdict is None
            assert decide([attempt] * TRIES) == Verdict(Outcome.MACHINE, where + (detail or cause.value))
        case Cause.PREEMPTED | Cause.REQUEUED | Cause.NODE_FAILED:
            assert verdict is None
            again = decide([attempt] * TRIES)
            assert again and (again.outcome, again.sentence) == (Outcome.MACHINE, where + (detail or cause.value))
        case Cause.CANCELLED | Cause.OUT_OF_MEMORY | Cause.OUT_OF_TIME:
            outcome = {Cause.CANCELLED: Outcome.INTERRUPTED, Cause.OUT_OF_MEMORY: Outcome.UNSURE}.get(
                cause, Outcome.TIMED_OUT
            )
            assert verdict and (verdict.outcome, verdict.sentence) == (outcome, where + (detail or cause.value))
        case Cause.EXITED if code == 0:
            assert verdict == Verdict(Outcome.PASSED, "in 2.5 s")
        case Cause.EXITED | Cause.SIGNALLED:
            assert verdict and verdict.outcome is Outcome.FAILED
            assert verdict.sentence.startswith(where)
        case _:
            pytest.fail(f"no verdict is known for {cause}")


@pytest.mark.parametrize(
    ("ending", "sentence"),
    [
        (Ending(Cause.EXITED, 1), "exit code 1"),
        (Ending(Cause.EXITED, 255), "exit code 255"),
        (
            Ending(Cause.SIGNALLED, signal=9),
            "killed by SIGKILL (signal 9): often the kernel's out-of-memory killer; see `dmesg`",
        ),
        (
            Ending(Cause.EXITED, 137, detail="the kernel ended it for want of memory"),
            "exit code 137, as a shell tells SIGKILL: the kernel ended it for want of memory",
        ),
        (Ending(Cause.SIGNALLED, signal=11), "killed by SIGSEGV (signal 11)"),
        (Ending(Cause.SIGNALLED, signal=99), "killed by signal 99"),
    ],
)
def test_a_red_test_is_red_at_once_and_says_how_it_ended(ending: Ending, sentence: str) -> None:
    assert decide([_attempt(ending)]) == Verdict(Outcome.FAILED, sentence)


def test_only_the_last_attempt_counts_after_the_machines_fault() -> None:
    lost = _attempt(Ending(Cause.LOST, detail="gone"))
    for last, outcome in ((_exited(0), Outcome.PASSED), (_exited(1), Outcome.FAILED)):
        verdict = decide([lost, last])
        assert verdict and verdict.outcome is outcome


def _expected(outcomes: set[Outcome]) -> int:
    for members, code in (
        ({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.HUNG, Outcome.UNSURE}, 1),
        ({Outcome.REFUSED}, 2),
        ({Outcome.MACHINE, Outcome.INTERRUPTED}, 3),
    ):
        if outcomes & members:
            return code
    return 3 if outcomes == {Outcome.SKIPPED} else 0


def test_every_combination_of_outcomes_has_the_code_of_the_worst_and_what_is_skipped_changes_none() -> None:
    # Another outcome must find its place in this table before it can exist.
    assert len(Outcome) == 10
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


def _red(cause: Cause) -> Attempt:
    return _attempt(Ending(cause, 1 if cause is Cause.EXITED else None, detail="it waits"))


@pytest.mark.parametrize(
    "cause", [Cause.EXITED, Cause.TIMED_OUT, Cause.HUNG, Cause.OUT_OF_MEMORY, Cause.OUT_OF_TIME]
)
def test_what_is_red_by_itself_is_tried_again_as_often_as_its_retries_say_and_never_by_default(
    cause: Cause,
) -> None:
    red = _red(cause)
    assert decide([red]) is not None
    twice = replace(red, test=replace(_TEST, retries=2))
    assert decide([twice]) is None and decide([twice] * 2) is None
    last = decide([twice] * 3)
    assert last and last.sentence.endswith(", on attempt 3 of 3")


def test_the_machines_fault_is_tried_again_as_often_as_the_test_says_else_the_repository() -> None:
    lost = _attempt(Ending(Cause.LOST, detail="gone"))
    for said, tries in ((None, 2), (0, 1), (3, 4)):
        attempt = replace(lost, test=replace(_TEST, machine_retries=said))
        assert [decide([attempt] * count) is None for count in range(1, tries + 1)] == [True] * (tries - 1) + [
            False
        ]


def test_a_test_that_failed_and_passed_with_nothing_changed_is_flaky_and_one_that_the_machine_failed_passed() -> (
    None
):
    test = replace(_TEST, retries=1)
    failed, passed = replace(_exited(7), test=test), replace(_exited(0), test=test)
    flaky = Verdict(Outcome.FLAKY, "passed on attempt 2, with nothing changed; attempt 1: exit code 7")
    assert decide([failed, passed]) == flaky
    machines = decide([_attempt(Ending(Cause.LOST, detail="gone")), passed])
    assert machines and machines.outcome is Outcome.PASSED


def test_flaky_is_green_but_for_a_test_that_says_otherwise() -> None:
    for fail, code in ((False, 0), (True, 1)):
        attempt = replace(_exited(0), test=replace(_TEST, fail_on_flaky=fail))
        result = Result("t", Verdict(Outcome.FLAKY, ""), (attempt, attempt))
        assert exit_code([result]) == code
        assert fails(result) is fail
