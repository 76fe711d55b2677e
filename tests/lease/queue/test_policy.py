"""Promise 2 on the pure policy: thousands of schedules, each checked against what was promised at arrival."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trainci.lease.queue.policy import plan
from trainci.lease.store.records import FOREVER, Request, Reservation
from trainci.model.device import Device

DEVICES = tuple(Device(i, f"d{i}") for i in range(8))
BOUNDS = st.one_of(st.just(FOREVER), st.integers(1, 50).map(float))


class Queue(RuleBasedStateMachine):
    """A host of 8 devices. Holders end at any time up to their bound; requests come, give up, are granted."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.next_id = 0
        self.waiting: list[Request] = []
        self.reserved: dict[str, Reservation] = {}
        self.promised: dict[str, float] = {}
        self.held: dict[str, tuple[tuple[str, ...], float]] = {}

    def busy(self):
        return {device: until for devices, until in self.held.values() for device in devices}

    def step(self):
        """One cycle, and everybody who was granted takes its devices."""
        before = {id: found.start for id, found in self.reserved.items()}
        self.reserved = plan(self.now, self.busy(), set(), self.waiting, self.reserved)
        assert self.reserved.keys() == {wanted.id for wanted in self.waiting}
        still = []
        for wanted in self.waiting:
            found = self.reserved[wanted.id]
            assert found.start >= self.now
            assert found.start <= max(before.get(wanted.id, FOREVER), self.now), "a start was moved later"
            if found.start > self.now:
                still.append(wanted)
            else:
                self.take(wanted, found)
            self.promised.setdefault(wanted.id, found.start)
        self.waiting = still

    def take(self, wanted, found):
        assert len(set(found.devices)) == len(found.devices) == wanted.count
        assert set(found.devices) <= {device.uuid for device in wanted.devices}
        assert not set(found.devices) & self.busy().keys(), "a device was granted twice"
        assert self.now <= self.promised.get(wanted.id, FOREVER), "it waited longer than it was told at its arrival"
        self.held[wanted.id] = (found.devices, self.now + wanted.bound)

    def arrive(self, devices, count, bound):
        self.next_id += 1
        self.waiting.append(Request(f"r{self.next_id}", count, devices, bound))
        self.step()

    @rule(count=st.sampled_from((1, 1, 2, 3, 4, 8)), bound=BOUNDS)
    def request_any(self, count, bound):
        self.arrive(DEVICES, count, bound)

    @rule(devices=st.sets(st.sampled_from(DEVICES), min_size=1, max_size=4), bound=BOUNDS)
    def request_certain(self, devices, bound):
        self.arrive(tuple(devices), len(devices), bound)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_job_ends(self, data):
        del self.held[data.draw(st.sampled_from(sorted(self.held)))]
        self.step()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_waiter_gives_up(self, data):
        self.waiting.remove(data.draw(st.sampled_from(self.waiting)))
        self.step()

    @rule(seconds=st.integers(1, 30))
    def time_passes(self, seconds):
        """Jobs end at their bounds, and cycles happen then, as the real ones do."""
        until = self.now + seconds
        while True:
            ends = [end for _, end in self.held.values() if end <= until]
            if not ends:
                break
            self.now = min(ends)
            self.held = {id: (devices, end) for id, (devices, end) in self.held.items() if end > self.now}
            self.step()
        self.now = until
        self.step()

    @invariant()
    def nothing_idles_while_the_first_in_line_could_run(self):
        """It could: it would move nobody's promised start."""
        if not self.waiting:
            return
        first, *others = self.waiting
        free = {device.uuid for device in first.devices} - self.busy().keys()
        promised = [wanted for wanted in others if self.start_of(wanted) < FOREVER]
        reserved = {device for wanted in promised for device in self.reserved[wanted.id].devices}
        assert len(free - reserved) < first.count
        if all(wanted.devices == DEVICES for wanted in self.waiting):
            assert len(free) < first.count or self.would_be_too_many(first, promised)

    def start_of(self, wanted):
        return self.reserved.get(wanted.id, Reservation()).start

    def would_be_too_many(self, first, promised):
        """Where everybody takes any devices, counting tells whether all fit."""
        spans = [(self.now, until) for until in self.busy().values()] + [
            (self.now, self.now + first.bound)
        ] * first.count
        for wanted in promised:
            spans += [(self.start_of(wanted), self.start_of(wanted) + wanted.bound)] * wanted.count
        return any(sum(begin <= moment < end for begin, end in spans) > len(DEVICES) for moment, _ in spans)

    @invariant()
    def no_device_has_two_holders(self):
        devices = [device for devices, _ in self.held.values() for device in devices]
        assert len(devices) == len(set(devices))

    def teardown(self):
        """Everybody is served in the end."""
        for _ in range(len(self.waiting) + 1):
            self.held.clear()
            self.step()
        assert not self.waiting


Queue.TestCase.settings = settings(max_examples=600, stateful_step_count=25, deadline=None)
TestQueue = pytest.mark.slow(Queue.TestCase)


def request(id, count, bound=FOREVER, devices=DEVICES[:4]):
    return Request(id, count, devices, bound)


def starts(found):
    return {id: reservation.start for id, reservation in found.items()}


def test_backfill_never_delays_the_head():
    busy = {"d0": 10.0, "d1": 10.0}
    queue = [
        request("head", 4),
        request("back in time", 1, 10.0),
        request("too long", 1, 11.0),
        request("no limit", 1),
    ]
    assert starts(plan(0.0, busy, set(), queue, {})) == {
        "head": 10.0,
        "back in time": 0.0,
        "too long": FOREVER,
        "no limit": FOREVER,
    }


def test_the_second_in_line_keeps_its_promise_too():
    """Where textbook EASY protects the head only, and the second could be overtaken again and again."""
    busy = {"d0": 10.0, "d1": 20.0, "d2": 20.0}
    queue = [request("head", 2, 5.0), request("second", 4, 5.0), request("third", 1, 15.0)]
    found = starts(plan(0.0, busy, set(), queue, {}))
    assert found == {"head": 10.0, "second": 20.0, "third": 25.0}


def test_nothing_that_competes_overtakes_an_unknown_start():
    queue = [request("head", 4), request("quick", 1, 0.001), request("elsewhere", 1, 1.0, devices=DEVICES[4:])]
    found = plan(0.0, {"d0": FOREVER}, set(), queue, {})
    assert starts(found) == {"head": FOREVER, "quick": FOREVER, "elsewhere": 0.0}


def test_a_request_for_certain_devices_competes_for_those_only():
    queue = [request("certain", 2, devices=DEVICES[:2]), request("other", 2)]
    found = plan(0.0, {"d0": FOREVER}, set(), queue, {})
    assert found["other"].start == 0.0
    assert set(found["other"].devices) == {"d2", "d3"}


def test_broken_devices_are_not_used_and_who_needs_them_holds_nobody_back():
    found = plan(0.0, {}, {"d1"}, [request("needs all", 4), request("needs three", 3)], {})
    assert found["needs all"].start == FOREVER
    assert found["needs three"].devices == ("d0", "d2", "d3")


def test_a_holder_that_outstays_its_bound_moves_the_promise_by_a_moment_only():
    promised = {"a": Reservation(50.0, ("d0", "d1", "d2", "d3"))}
    found = plan(100.0, {"d0": 50.0}, set(), [request("a", 4, 1.0)], promised)
    assert 100.0 < found["a"].start <= 102.0


def test_a_promise_is_a_start_and_not_certain_devices():
    """`second` was promised d3 among others; with d3 moved to `first` both keep their word, and nothing idles."""
    now, soon = 0.0, 1.0
    queue = [request("first", 4, devices=DEVICES), request("second", 4, devices=DEVICES)]
    promised = {
        "first": Reservation(soon, ("d0", "d1", "d2", "d4")),
        "second": Reservation(soon, ("d3", "d5", "d6", "d7")),
    }
    found = plan(now, dict.fromkeys(("d4", "d5", "d6", "d7"), soon), set(), queue, promised)
    assert starts(found) == {"first": now, "second": soon}
    assert found["first"].devices == ("d0", "d1", "d2", "d3")


def test_devices_promised_to_those_who_need_just_them_are_not_given_away():
    queue = [request("first", 2, devices=DEVICES[:3]), request("second", 2, devices=DEVICES[2:4])]
    promised = {"first": Reservation(1.0, ("d0", "d1")), "second": Reservation(1.0, ("d2", "d3"))}
    found = plan(0.0, {"d1": 1.0, "d3": 1.0}, set(), queue, promised)
    assert starts(found) == {"first": 1.0, "second": 1.0}
