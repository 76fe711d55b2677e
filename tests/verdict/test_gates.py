"""The pure rule of metrics: what is trusted, the bands, and what three runs of a commit decide."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.model.gates import Baseline, Decision, Gate, Measured, Measurement, Standing, gate_of
from trainci.model.run import Attempt, Cause, Ending, Metric, Outcome
from trainci.model.tests import Test
from trainci.verdict.baselines import LEAST, MOST, _t_quantile, bands, series
from trainci.verdict.decide import decide, why_again
from trainci.verdict.gates import judged, measured

NORM = "train/grad_norm"
HISTORY = Gate(NORM)
USUAL = (2.4, 2.6, 2.5, 2.3, 2.7, 2.55, 2.45, 2.5, 2.35, 2.65, 2.5, 2.6)
NUMBERS = st.floats(-1e6, 1e6)


def attempt(value: float | None, gate: Gate = HISTORY, code: int = 0, kind: str = "H100") -> Attempt:
    """One that recorded ``value``, or nothing where it is None."""
    found = () if value is None else measured([gate], [Metric(NORM, value, 7, 1.0)])
    test = Test("t", "t.py", metrics=(gate,))
    return Attempt(test, 1, 0.0, 10.0, 12.5, Ending(Cause.EXITED, code), "log", measured=found, kind=kind)


def past(values=USUAL, **said) -> tuple[Measurement, ...]:
    """What as many runs of the base branch measured, the newest first."""
    usual = {"kind": "H100", "image": "", "on_base": True, "outcome": "passed", "step": 7, **said}
    return tuple(
        Measurement(f"run-{number}", "c0ffee", 100.0 - number, 1, value, **usual)
        for number, value in enumerate(values)
    )


def known(values=USUAL, **said) -> Baseline:
    return Baseline("main", {NORM: past(values, **said)})


def outcomes(values, baseline=None, gate=HISTORY):
    """What is decided after each of ``values``, which one commit recorded: None for *again*."""
    tried = [attempt(value, gate) for value in values]
    found = [decide(tried[: count + 1], baseline=baseline or known()) for count in range(len(tried))]
    return [verdict and verdict.outcome for verdict in found]


def test_a_value_in_the_band_passes_and_says_nothing():
    verdict = decide([attempt(2.52)], baseline=known())
    assert (verdict.outcome, verdict.sentence) == (Outcome.PASSED, "in 2.5 s")
    assert verdict.judgements[0].standing is Standing.WITHIN and verdict.judgements[0].runs == 12


def test_a_shift_is_red_only_by_the_median_of_three():
    assert outcomes([3.5, 3.4, 3.6]) == [None, None, Outcome.FAILED]
    assert outcomes([3.5, 2.5, 3.6]) == [None, None, Outcome.FAILED]
    assert outcomes([3.5, 2.5, 2.6]) == [None, None, Outcome.PASSED]
    # Up and down at once is no shift.
    assert outcomes([3.5, 1.5, 2.5]) == [None, None, Outcome.PASSED]


def test_a_value_between_the_bands_is_suspicious_and_green_wherever_the_others_are():
    known_ = bands(USUAL)
    between = (known_.band.high + known_.wide.high) / 2
    assert outcomes([between, between, between]) == [None, None, Outcome.PASSED]


def test_what_is_shown_names_metric_value_band_and_runs():
    tried = [attempt(value) for value in (3.5, 3.4, 3.6)]
    verdict = decide(tried, baseline=known())
    band = bands(USUAL).wide
    assert verdict.sentence == (
        f"{NORM} at step 7 = 3.5 left the band {band} of 12 runs on main (median of 3 runs)"
    )
    assert (verdict.diagnosis.rule, verdict.judgements[0].values) == ("metric-moved", (3.5, 3.4, 3.6))
    assert why_again(tried[:1], known()).startswith(f"{NORM} at step 7 = 3.5 is outside the band")
    assert why_again([], known()) == why_again([attempt(2.5)], known()) == ""


def test_repeated_runs_make_nothing_flaky_and_a_failure_among_them_does():
    tried = [attempt(3.5), attempt(2.5, code=1), attempt(2.5), attempt(2.5)]
    assert decide(tried[:2], baseline=known()).outcome is Outcome.FAILED
    tried = [replace(one, test=replace(one.test, retries=1)) for one in tried]
    assert decide(tried[:2], baseline=known()) is None
    assert decide(tried, baseline=known()).outcome is Outcome.FLAKY


def test_the_machines_fault_between_costs_no_value():
    lost = replace(attempt(None), ending=Ending(Cause.LOST, detail="gone"))
    tried = [attempt(3.5), lost, attempt(3.4), attempt(3.6)]
    assert [decide(tried[:count], baseline=known()) for count in (1, 2, 3)] == [None] * 3
    assert decide(tried, baseline=known()).outcome is Outcome.FAILED


@pytest.mark.parametrize("gate", [HISTORY, Gate(NORM, low=0.0), Gate(NORM, step=7, high=1.0)])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_missing_or_endless_value_is_red_whatever_its_gate(gate, value):
    verdict = decide([attempt(value, gate)], baseline=known())
    assert verdict.outcome is Outcome.FAILED
    assert ("no value was recorded" if value is None else "is no finite number") in verdict.sentence


@pytest.mark.parametrize(
    ("said", "right", "wrong"),
    [
        (3, (3.0,), (3.0000001, -3.0)),
        ({"value": 3, "absolute": 0.5}, (2.5, 3.5), (2.4, 3.6)),
        ({"value": -2, "relative": 0.1}, (-2.2, -1.8), (-2.3, -1.7)),
        ({"min": 0.5}, (0.5, 1e300), (0.4,)),
        ({"max": 0.5, "min": 0.25}, (0.25, 0.5), (0.2, 0.6)),
    ],
)
def test_bounds_hold_what_they_say_and_are_never_repeated(said, right, wrong):
    gate = gate_of(NORM, said)
    assert {decide([attempt(value, gate)]).outcome for value in right} == {Outcome.PASSED}
    assert {decide([attempt(value, gate)]).outcome for value in wrong} == {Outcome.FAILED}


def test_a_failed_test_is_judged_by_its_own_failure():
    assert decide([attempt(None, code=1)]).sentence == "exit code 1"


@pytest.mark.parametrize("count", range(LEAST))
def test_under_8_trusted_runs_nothing_is_gated_and_it_is_said(count):
    verdict = decide([attempt(99.0)], baseline=known(USUAL[:count]))
    assert verdict.outcome is Outcome.PASSED and f"gates nothing yet: {count} of 8" in verdict.sentence


@pytest.mark.parametrize(
    "said",
    [{"on_base": False}, {"outcome": "failed"}, {"outcome": "flaky"}, {"kind": "H200"}, {"image": "trainer:2"}],
    ids=str,
)
def test_only_passed_runs_of_the_base_branch_in_the_same_series_are_trusted(said):
    assert outcomes([99.0], known(**said)) == [Outcome.PASSED]


@pytest.mark.parametrize("said", [{"kind": "H200"}, {"image": "trainer:2"}], ids=str)
def test_a_new_device_or_image_begins_a_series_once(said):
    (one,) = judged([attempt(99.0)], known(**said))
    assert one.standing is Standing.NEW
    both = Baseline("main", {NORM: past((99.0,), outcome="failed") + past(**said)})
    assert judged([attempt(99.0)], both)[0].standing is Standing.TOO_FEW


def test_a_repetition_on_another_kind_of_device_says_nothing():
    tried = [attempt(3.5), attempt(3.4, kind="H200"), attempt(2.5)]
    (one,) = judged(tried, known())
    assert one.values == (3.5, 2.5)


def test_of_a_run_that_was_repeated_the_first_value_counts():
    own = (past((3.4,))[0], replace(past((2.5,))[0], attempt=2), replace(past((2.6,))[0], attempt=3))
    (one,) = series(HISTORY, own, ())
    assert one.trusted.values == (3.4,)


def test_after_a_decision_only_later_runs_and_what_was_accepted_count():
    rows = past()
    accepted = Decision("t", NORM, "run-6", "ana", "why", at=96.5)
    (one,) = series(HISTORY, rows, [accepted])
    assert [point.run for point in one.points if point.trusted] == ["run-0", "run-1", "run-2", "run-3", "run-6"]
    reset = Decision("t", NORM, "", "bo", "why", at=98.5)
    (one,) = series(HISTORY, rows, [accepted, reset])
    assert [point.run for point in one.points if point.trusted] == ["run-0", "run-1"]
    elsewhere = Decision("t", NORM, "run-of-another-kind", "ana", "why", at=98.5)
    (one,) = series(HISTORY, rows, [elsewhere])
    assert len(one.trusted.values) == 12


HALVED = (1.2,)  # of the same metric, once a change has halved it


def halved(values=HALVED, count=12):
    """What is known when the newest but ``values[1:]`` was accepted, after ``count`` usual runs."""
    rows = past((*values, *USUAL[:count]))
    run = rows[len(values) - 1]
    return Baseline("main", {NORM: rows}, (Decision("t", NORM, run.run, "ana", "why", at=run.at),))


def test_an_accepted_value_is_gated_at_once_as_widely_as_those_before():
    assert outcomes([1.25], halved()) == [Outcome.PASSED]
    assert outcomes([1.9, 1.9, 1.9], halved()) == [None, None, Outcome.FAILED]
    sentence = decide([attempt(1.9)] * 3, baseline=halved()).sentence
    assert "of 1 run on main, as wide as that of the 12 runs before it was accepted" in sentence


def test_where_the_change_is_not_yet_the_values_before_are_right():
    assert outcomes([2.5], halved()) == [Outcome.PASSED]
    # Nor do they move the band where they come after.
    assert outcomes([1.9, 1.9, 1.9], halved((2.5, *HALVED))) == [None, None, Outcome.FAILED]


def test_an_accepted_value_that_is_larger_may_vary_by_more():
    grown = halved((25.0,))
    assert outcomes([27.0], grown) == [Outcome.PASSED]
    assert outcomes([50.0, 50.0, 50.0], grown) == [None, None, Outcome.FAILED]


def test_with_too_few_runs_before_an_accepted_value_gates_nothing():
    assert "gates nothing yet: 1 of 8" in decide([attempt(9.0)], baseline=halved(count=7)).sentence


def test_of_8_values_on_what_was_before_counts_no_more():
    (one,) = series(
        HISTORY,
        halved((1.2, 1.3, 1.1, 1.25, 1.15, 1.2, 1.3, *HALVED)).measured[NORM],
        halved((1.2, 1.3, 1.1, 1.25, 1.15, 1.2, 1.3, *HALVED)).decisions,
    )
    assert one.trusted.before is None and not one.trusted.usual(2.5)


def test_what_was_long_ago_is_not_trusted_any_more():
    (one,) = series(HISTORY, past([2.5] * (MOST + 9)), ())
    assert len(one.trusted.values) == MOST


def test_the_last_value_is_measured_or_that_of_the_step():
    recorded = [Metric(NORM, float(step), step, 1.0) for step in (1, 2, 3)] + [Metric("loss", 9.0, 3, 1.0)]
    assert measured([Gate(NORM)], recorded) == (Measured(NORM, 3.0, 3),)
    assert measured([Gate(NORM, step=2)], recorded) == (Measured(NORM, 2.0, 2),)
    assert measured([Gate(NORM, step=4)], recorded) == ()


# https://en.wikipedia.org/wiki/Student%27s_t-distribution has the same table.
@pytest.mark.parametrize(
    ("probability", "freedom", "wanted"),
    [(0.975, 5, 2.5706), (0.995, 5, 4.0321), (0.975, 9, 2.2622), (0.995, 9, 3.2498), (0.995, 39, 2.7079)],
)
def test_students_t_is_right_to_1_in_1000(probability, freedom, wanted):
    assert _t_quantile(probability, freedom) == pytest.approx(wanted, rel=1e-3)


@given(st.lists(NUMBERS, min_size=LEAST, max_size=60))
def test_the_wide_band_holds_the_band_which_holds_the_middle(values):
    known = bands(values)
    assert known.wide.low <= known.band.low <= known.band.high <= known.wide.high
    assert known.band.holds(statistics.median(values))


@given(st.lists(st.floats(-1e3, 1e3), min_size=LEAST, max_size=30), st.floats(0.01, 100), st.floats(-1e3, 1e3))
def test_bands_move_and_stretch_with_the_values(values, factor, shift):
    one, other = bands(values).wide, bands([value * factor + shift for value in values]).wide
    assert other.low == pytest.approx(one.low * factor + shift, abs=1e-6 * (1 + factor) * 1e3)
    assert other.high == pytest.approx(one.high * factor + shift, abs=1e-6 * (1 + factor) * 1e3)


@given(st.permutations(USUAL))
def test_the_order_of_runs_changes_no_band(values):
    assert bands(values).wide == bands(USUAL).wide


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_one_stray_run_does_not_widen_the_band(stray):
    known = bands([*USUAL, stray])
    assert known.wide.high - known.wide.low < 2 * (bands(USUAL).wide.high - bands(USUAL).wide.low)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20), st.booleans())
def test_no_number_is_too_large_for_a_band(values, log):
    known = bands([abs(value) or 1.0 for value in values] if log else values, log=log)
    assert (known.band is None) == (known.wide is None)


def test_equal_values_let_the_same_one_pass_and_no_other():
    assert outcomes([0.1], known([0.1] * 12)) == [Outcome.PASSED]
    assert outcomes([0.1 + 1e-9] * 3, known([0.1] * 12)) == [None, None, Outcome.FAILED]


def test_what_differs_by_factors_is_compared_by_its_logarithm():
    gate = gate_of(NORM, {"gate": "history", "scale": "log"})
    values = [10.0**power for power in (-8.0, -7.5, -7.0, -8.5, -7.8, -8.2, -7.6, -7.2, -8.1, -7.9)]
    assert outcomes([1e-6, 1e-7, 1e-8], known(values), gate) == [None, None, Outcome.PASSED]
    assert outcomes([1e-12] * 3, known(values), gate) == [None, None, Outcome.FAILED]
    assert outcomes([0.0, -1.0, -1.0], known(values), gate) == [None, None, Outcome.FAILED]
    assert bands(values, log=True).band.low > 0 > bands(values).band.low


@given(st.lists(st.one_of(NUMBERS, st.just(math.nan)), min_size=1, max_size=8), st.lists(NUMBERS, max_size=20))
def test_it_is_never_repeated_more_than_twice(values, trusted):
    tried = [attempt(value) for value in values]
    decided = (decide(tried[: count + 1], baseline=known(trusted)) for count in range(len(tried)))
    assert sum(1 for _ in itertools.takewhile(lambda verdict: verdict is None, decided)) <= 2
