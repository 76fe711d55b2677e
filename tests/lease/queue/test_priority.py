"""Urgent requests go before others, and no old one is starved by newer ones, whatever their priority."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from trainci.lease.queue.policy import plan
from trainci.lease.queue.priority import HEAD_START_S, PRIORITIES, in_turn, passed
from trainci.lease.store.records import FOREVER, Request, Reservation
from trainci.model.device import Device

DEVICES = tuple(Device(i, f"d{i}") for i in range(4))
LEVELS = {"high": HEAD_START_S, "normal": 0.0, "low": -HEAD_START_S}
# What nobody who comes later can pass any more has waited for this long.
BOUND_S = {"high": 0.0, "normal": HEAD_START_S, "low": 2 * HEAD_START_S}


def request(id, since, priority="normal", count=4, bound=100.0):
    return Request(id, count, DEVICES, bound, since=since, priority=priority)


ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from((0.0, 1.0, 600.0, 1800.0, 4000.0)),
        st.sampled_from(PRIORITIES),
        st.integers(1, 4),
        st.sampled_from((50.0, 2000.0, FOREVER)),
    ),
    min_size=1,
    max_size=12,
)


def arriving(arrivals):
    """The requests of ``arrivals``, each so many seconds after the one before."""
    now, made = 0.0, []
    for number, (pause, priority, count, bound) in enumerate(arrivals):
        now += pause
        made.append(request(f"r{number}", now, priority, count, bound))
    return made


@given(ARRIVALS)
def test_the_order_is_that_of_arrival_within_a_priority_and_bounded_between_them(arrivals):
    queue = arriving(arrivals)
    turn = in_turn(queue)
    assert sorted(turn, key=queue.index) == queue
    for a, first in enumerate(queue):
        for second in queue[a + 1 :]:
            waited = second.since - first.since
            goes_first = turn.index(first) < turn.index(second)
            assert goes_first or waited <= LEVELS[second.priority] - LEVELS[first.priority]


@given(ARRIVALS)
def test_a_start_is_moved_only_by_who_passes_it_and_never_once_it_is_old(arrivals):
    """Jobs end on time; at each arrival and end there is a cycle, as on a real host."""
    waiting: list[Request] = []
    reserved: dict[str, Reservation] = {}
    held: dict[str, tuple[tuple[str, ...], float]] = {}

    def cycle(now):
        nonlocal reserved, waiting
        turn = in_turn(waiting)
        free_to_move = passed(waiting, turn, reserved.keys())
        before, busy = reserved, {device: end for devices, end in held.values() for device in devices}
        reserved = plan(now, busy, set(), waiting, before)
        for wanted in waiting:
            old = before.get(wanted.id, Reservation()).start
            if wanted.id not in free_to_move or now - wanted.since > BOUND_S[wanted.priority]:
                assert reserved[wanted.id].start <= max(old, now), "its start was moved later"
        for wanted in waiting:
            if reserved[wanted.id].start <= now:
                held[wanted.id] = (reserved[wanted.id].devices, now + wanted.bound)
        waiting = [wanted for wanted in waiting if wanted.id not in held]
        reserved = {wanted.id: reserved[wanted.id] for wanted in waiting}

    for wanted in arriving(arrivals):
        while any(end <= wanted.since for _, end in held.values()):
            end = min(end for _, end in held.values())
            held = {id: hold for id, hold in held.items() if hold[1] > end}
            cycle(end)
        waiting.append(wanted)
        cycle(wanted.since)


@pytest.mark.parametrize("priority", ["normal", "low"])
def test_an_old_request_is_never_starved_by_newer_high_ones(priority):
    """Every 100 s somebody urgent comes for all devices for 100 s: they alone would fill the host for ever."""
    old = request("old", 0.0, priority)
    urgent = 0
    waiting, reserved, until, now = [old], {}, 100.0, 0.0
    while old in waiting:
        assert now <= BOUND_S[priority] + 2 * 100.0, "it still waits"
        waiting.append(request(f"urgent{urgent}", now, "high"))
        urgent += 1
        busy = {device.uuid: until for device in DEVICES} if now < until else {}
        reserved = plan(now, busy, set(), waiting, reserved)
        started = [wanted for wanted in waiting if reserved[wanted.id].start <= now]
        if started:
            (first,) = started
            waiting.remove(first)
            until = now + first.bound
        reserved = {wanted.id: reserved[wanted.id] for wanted in waiting}
        now += 100.0
    assert urgent > 10, "it was passed by those who came soon after it"


def test_an_urgent_request_is_served_first_of_those_that_came_just_before_it():
    queue = [request("first", 0.0), request("second", 1.0)]
    busy = {device.uuid: 50.0 for device in DEVICES}
    promised = plan(2.0, busy, set(), queue, {})
    found = plan(3.0, busy, set(), [*queue, request("urgent", 3.0, "high")], promised)
    assert [found[id].start for id in ("urgent", "first", "second")] == [50.0, 150.0, 250.0]
    again = plan(4.0, busy, set(), [*queue, request("urgent", 3.0, "high")], found)
    assert again == found


def test_a_priority_that_nobody_knows_is_normal():
    assert [wanted.id for wanted in in_turn([request("a", 0.0), request("b", 1.0, "urgent!")])] == ["a", "b"]
