from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.model.device import Device, Pool
from trainci.model.selection import Refused, Selected, Selection
from trainci.model.tests import Test
from trainci.schedule import estimated_end, fit, start_now


def _test(name: str, gpus: int = 1, timeout: float = 100.0) -> Test:
    return Test(name, f"{name}.py", num_gpus=gpus, timeout=timeout)


_TESTS = st.lists(st.integers(0, 8), max_size=12).map(
    lambda counts: [_test(f"t{i}", n) for i, n in enumerate(counts)]
)


@given(
    _TESTS,
    _TESTS,
    st.integers(0, 8),
    st.integers(0, 4),
    st.dictionaries(st.sampled_from(["t0", "t1", "t2"]), st.floats(0, 9)),
)
def test_never_more_devices_or_slots_are_used_than_there_are(
    waiting: list[Test], running: list[Test], devices: int, slots: int, expected: dict[str, float]
) -> None:
    free = devices - sum(test.num_gpus for test in running)
    free_slots = slots - sum(test.num_gpus == 0 for test in running)
    started = start_now(waiting, running, devices, slots, expected)
    assert sum(test.num_gpus for test in started) <= max(0, free)
    assert sum(test.num_gpus == 0 for test in started) <= max(0, free_slots)
    assert len({test.id for test in started}) == len(started) and set(started) <= set(waiting)
    # Nothing that would still fit is left waiting.
    left = [test for test in waiting if test not in started]
    free -= sum(test.num_gpus for test in started)
    free_slots -= sum(test.num_gpus == 0 for test in started)
    assert all(test.num_gpus > free if test.num_gpus else free_slots <= 0 for test in left)


def test_the_longest_expected_starts_first_and_an_unknown_one_counts_as_its_limit() -> None:
    tests = [_test("short"), _test("long"), _test("unknown", timeout=50.0), _test("middle")]
    expected = {"short": 1.0, "long": 60.0, "middle": 10.0}
    names = [test.id for test in start_now(tests, [], 8, 1, expected)]
    assert names == ["long", "unknown", "middle", "short"]
    assert [test.id for test in start_now(tests, [], 2, 1, expected)] == ["long", "unknown"]


def test_equals_start_in_the_order_in_which_they_were_asked_for() -> None:
    tests = [_test(name) for name in "cab"]
    assert [test.id for test in start_now(tests, [], 8, 1, {})] == ["c", "a", "b"]


def test_a_test_without_devices_takes_a_slot_and_no_device() -> None:
    cpu = [_test(f"c{i}", 0) for i in range(3)]
    assert len(start_now(cpu, [], 0, 2, {})) == 2
    assert len(start_now(cpu, [_test("busy", 0)], 0, 2, {})) == 1
    assert start_now([_test("gpu", 1)], cpu, 1, 2, {}) == [_test("gpu", 1)]


def test_a_large_test_lets_smaller_ones_pass_until_it_fits() -> None:
    large, small = _test("large", 8), _test("small", 2)
    expected = {"large": 90.0, "small": 5.0}
    assert start_now([small, large], [_test("busy", 4)], 8, 1, expected) == [small]
    assert start_now([small, large], [], 8, 1, expected) == [large]


_H100S = Pool(tuple(Device(i, f"GPU-{i}", "NVIDIA H100") for i in range(4)), virtual=False)
_VIRTUAL = Pool(tuple(Device(i, f"cpu-{i}", "virtual", virtual=True) for i in range(4)), virtual=True)
_NONE = Pool((), virtual=False)


def _selected(*tests: Test) -> Selection:
    return Selection(tuple(Selected(test, "why") for test in tests), note="note")


def test_what_needs_more_devices_than_there_are_is_refused_and_the_rest_kept() -> None:
    fitting = fit(_selected(*(_test(f"t{n}", n) for n in (0, 4, 5, 8))), _H100S)
    kept = fitting.selection
    assert [selected.test.id for selected in kept.tests] == ["t0", "t4"] and kept.note == "note"
    assert [item.test_id for item in fitting.too_large] == ["t5", "t8"] and not fitting.skipped
    sentence = fitting.too_large[0].sentence
    assert sentence.startswith("needs 5 devices, and this host has 4 × NVIDIA H100. ")
    assert "larger host" in sentence and "--devices cpu:5" in sentence
    (alone,) = fit(_selected(_test("t", 1)), _NONE).too_large
    assert alone.sentence.startswith("needs 1 device, and this host has no GPU. ")


@pytest.mark.parametrize(
    ("pool", "sentence"),
    [
        (
            _VIRTUAL,
            "4 virtual devices, no GPU. Run it on a host with 8 GPUs, without --devices cpu:N.",
        ),
        (_NONE, "no GPU. Run it on a host with 8 GPUs."),
    ],
)
def test_what_runs_on_gpus_only_is_skipped_where_there_is_none_and_says_how_to_run_it(
    pool: Pool, sentence: str
) -> None:
    fitting = fit(_selected(_test("cpu", 0), replace(_test("t", 8), requires_gpu=True)), pool)
    assert [selected.test.id for selected in fitting.selection.tests] == ["cpu"]
    why = f"runs on GPUs only (REQUIRES_GPU), and this run has {sentence}"
    assert fitting.skipped == (Refused("t", why),) and not fitting.too_large


def test_what_runs_on_gpus_only_runs_on_gpus_and_too_few_of_them_are_the_machines_fault() -> None:
    small, large = (replace(_test(f"t{n}", n), requires_gpu=True) for n in (4, 8))
    fitting = fit(_selected(small, large), _H100S)
    assert [selected.test for selected in fitting.selection.tests] == [small] and not fitting.skipped
    sentence = "needs 8 devices, and this host has 4 × NVIDIA H100. Run it on a larger host."
    assert fitting.too_large == (Refused("t8", sentence),)


@pytest.mark.parametrize(
    ("waiting", "running", "devices", "end"),
    [
        ([], [], 4, 1000.0),
        ([("a", 1)], [], 4, 1010.0),
        ([("a", 4), ("b", 4)], [], 4, 1030.0),
        ([("a", 2), ("b", 2)], [], 4, 1020.0),
        ([("b", 4)], [("a", 4, 995.0)], 4, 1025.0),
        ([], [("a", 4, 900.0)], 4, 1000.0),
        ([("a", 0)], [], 0, 1010.0),
    ],
)
def test_the_end_is_the_larger_of_the_longest_test_and_all_work_spread(
    waiting: list[tuple[str, int]], running: list[tuple[str, int, float]], devices: int, end: float
) -> None:
    ahead = [_test(name, gpus) for name, gpus in waiting]
    now = [(_test(name, gpus), started) for name, gpus, started in running]
    assert estimated_end(1000.0, ahead, now, devices, {"a": 10.0, "b": 20.0}) == pytest.approx(end)


def test_the_end_is_unknown_while_one_test_has_never_run() -> None:
    assert estimated_end(0.0, [_test("a"), _test("new")], [], 4, {"a": 1.0}) is None
    assert estimated_end(0.0, [], [(_test("new"), 0.0)], 4, {"a": 1.0}) is None
