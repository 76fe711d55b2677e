"""Who waited, prepared and ran when: pure, from the events of a run."""

from __future__ import annotations

import json

import run_events
from hypothesis import given
from hypothesis import strategies as st

from trainci.history.runs import run_of
from trainci.model import events
from trainci.model.look import Sample
from trainci.model.run import Phase
from trainci.reports.svg import timeline
from trainci.reports.timeline import Doing, Slice, rows_of, slices, spent, waiting_counts
from trainci.reports.trace import trace

PREPARE, EXECUTE = ("a.py", 1, Phase.PREPARE), ("a.py", 1, Phase.EXECUTE)
PHASED = [
    events.RunStarted(0.0, "r", "c", "2 × GPU", (events.Planned("a.py", 2, ""),)),
    events.Queued(1.0, "a.py", 1, "a.log", 2),
    events.Started(2.0, *PREPARE, 1),
    events.Ended(5.0, *PREPARE, run_events.PASSED),
    events.Granted(7.0, *EXECUTE, ("GPU-0", "GPU-1")),
    events.Started(7.5, *EXECUTE, 1),
    events.Ended(17.0, *EXECUTE, run_events.PASSED),
    events.Concluded(17.0, "a.py", 1, run_events.VERDICT),
    events.RunEnded(18.0, 0),
]


def told(found: tuple[Slice, ...]) -> list[tuple[str, float, float]]:
    return [(one.doing.value, one.start, one.end) for one in found]


def test_waiting_preparing_and_running_are_told_apart() -> None:
    assert told(slices(PHASED)) == [
        ("waiting", 0.0, 1.0),
        ("waiting", 1.0, 2.0),
        ("preparing", 2.0, 5.0),
        ("waiting", 5.0, 7.0),
        ("running", 7.0, 17.0),
    ]


def test_what_a_killed_runner_left_ends_with_the_last_that_is_known() -> None:
    assert told(slices(PHASED[:6]))[-1] == ("running", 7.0, 7.5)


def test_lost_device_time_is_what_nobody_held_while_a_test_waited_and_what_was_tried_again() -> None:
    found = (
        Slice("a", 1, Doing.RUNNING, 0.0, 10.0, ("GPU-0",)),
        Slice("b", 0, Doing.WAITING, 0.0, 4.0),
        Slice("b", 1, Doing.RUNNING, 4.0, 10.0, ("GPU-1",)),
        Slice("b", 2, Doing.RUNNING, 10.0, 12.0, ("GPU-1",)),
    )
    used = spent(found)
    assert (used.total, used.held, used.retried, used.idle_wanted) == (24.0, 18.0, 6.0, 4.0)


def test_devices_are_in_the_order_of_their_numbers() -> None:
    names = tuple(f"cpu-{n}" for n in range(12))
    assert tuple(rows_of([Slice("a", 1, Doing.RUNNING, 0.0, 1.0, names[::-1])])) == names


def test_devices_of_one_name_that_several_nodes_have_are_rows_of_their_own() -> None:
    one, two, three, four = (
        Slice("a", 1, Doing.RUNNING, 0.0, 4.0, ("cpu-0", "cpu-1")),
        Slice("b", 1, Doing.RUNNING, 1.0, 3.0, ("cpu-0",)),
        Slice("c", 1, Doing.RUNNING, 3.0, 5.0, ("cpu-0",)),
        Slice("d", 1, Doing.RUNNING, 4.0, 5.0, ("cpu-0",)),
    )
    rows = rows_of([one, two, three, four])
    assert list(rows.items()) == [("cpu-0", [one, four]), ("cpu-0 (2)", [two, three]), ("cpu-1", [one])]
    assert spent([one, two, three, four]).total == 15.0
    assert timeline([one, two, three, four], set()).count('class="track"') == 3


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_the_count_of_those_that_wait_is_right_at_every_moment(spans: list[tuple[int, int]]) -> None:
    spans = [(min(pair), max(pair)) for pair in spans if pair[0] != pair[1]]
    counts = waiting_counts([Slice("a", 0, Doing.WAITING, float(a), float(b)) for a, b in spans])
    for moment in range(51):
        known = [count for at, count in counts if at <= moment]
        assert (known[-1] if known else 0) == sum(a <= moment < b for a, b in spans)


def test_a_trace_has_a_track_a_device_and_a_track_a_test_and_counts_what_waits() -> None:
    found = json.loads(trace(run_of(PHASED), slices(PHASED)))["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in found if e["name"] == "thread_name"}
    assert list(names.values()) == ["GPU-0", "GPU-1", "a.py"]
    drawn = [(names[e["pid"], e["tid"]], e["name"], e["ts"], e["dur"]) for e in found if e["ph"] == "X"]
    assert ("GPU-1", "a.py", 7_000_000, 10_000_000) in drawn and (
        "a.py",
        "preparing",
        2_000_000,
        3_000_000,
    ) in drawn
    samples = [Sample(8.0, "GPU-0", 97, 3 << 30), Sample(9.0, "GPU-0", None, 0)]
    counted = json.loads(trace(run_of(PHASED), slices(PHASED), samples))["traceEvents"][len(found) :]
    assert [(e["name"], e["ts"], *e["args"].values()) for e in counted] == [
        ("GPU-0 memory, GiB", 8_000_000, 3.0),
        ("GPU-0 busy, %", 8_000_000, 97),
        ("GPU-0 memory, GiB", 9_000_000, 0.0),
    ]
    assert [(e["ts"], e["args"]["tests"]) for e in found if e["ph"] == "C"] == [
        (0, 1),
        (2_000_000, 0),
        (5_000_000, 1),
        (7_000_000, 0),
    ]
