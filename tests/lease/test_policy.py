"""Promise 2 on the pure policy: thousands of schedules, each checked against what was promised at arrival."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trainci.lease.queue.policy import Ask, plan
from trainci.lease.store.records import FOREVER, Place

DEVICES = tuple(Place(f"d{i}", i) for i in range(8))
BOUNDS = st.one_of(st.just(FOREVER), st.integers(1, 50).map(float))


class Queue(RuleBasedStateMachine):
    """A host of 8 devices. Holders end at any time up to their bound; requests come, give up, are granted."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.next_id = 0
        self.waiting: list[Ask] = []
        self.promised: dict[str, float] = {}
        self.held: dict[str, tuple[tuple[str, ...], float]] = {}

    def busy(self):
        return {device: until for devices, until in self.held.values() for device in devices}

    def step(self):
        """One pass, and everybody who was granted takes its devices."""
        before = {ask.id: ask.promised[0] for ask in self.waiting if ask.promised is not None}
        slots = plan(self.now, self.busy(), set(), self.waiting)
        assert slots.keys() == {ask.id for ask in self.waiting}
        still = []
        for ask in self.waiting:
            slot = slots[ask.id]
            assert slot.start >= self.now
            assert slot.start <= max(before.get(ask.id, FOREVER), self.now), "a start was moved later"
            if slot.start == FOREVER:
                still.append(Ask(ask.id, ask.count, ask.places, ask.bound))
            elif slot.start > self.now:
                still.append(Ask(ask.id, ask.count, ask.places, ask.bound, (slot.start, slot.devices)))
            else:
                self.take(ask, slot)
            self.promised.setdefault(ask.id, slot.start)
        self.waiting = still

    def take(self, ask, slot):
        assert len(set(slot.devices)) == len(slot.devices) == ask.count
        assert set(slot.devices) <= {place.uuid for place in ask.places}
        assert not set(slot.devices) & self.busy().keys(), "a device was granted twice"
        assert self.now <= self.promised.get(ask.id, FOREVER), "it waited longer than it was told at its arrival"
        self.held[ask.id] = (slot.devices, self.now + ask.bound)

    def arrive(self, places, count, bound):
        self.next_id += 1
        self.waiting.append(Ask(f"r{self.next_id}", count, places, bound))
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
        """Jobs end at their bounds, and passes happen then, as the real ones do."""
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
        free = {place.uuid for place in first.places} - self.busy().keys()
        promised = [ask for ask in others if ask.promised is not None]
        reserved = {device for ask in promised for device in ask.promised[1]}
        assert len(free - reserved) < first.count
        if all(ask.places == DEVICES for ask in self.waiting):
            assert len(free) < first.count or self.would_be_too_many(first, promised)

    def would_be_too_many(self, first, promised):
        """Where everybody takes any devices, counting tells whether all fit."""
        spans = [(self.now, until) for until in self.busy().values()] + [
            (self.now, self.now + first.bound)
        ] * first.count
        for ask in promised:
            spans += [(ask.promised[0], ask.promised[0] + ask.bound)] * ask.count
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


Queue.TestCase.settings = settings(max_examples=2000, stateful_step_count=25, deadline=None)
TestQueue = pytest.mark.slow(Queue.TestCase)


def ask(id, count, bound=FOREVER, promised=None, places=DEVICES[:4]):
    return Ask(id, count, places, bound, promised)


def starts(slots):
    return {id: slot.start for id, slot in slots.items()}


def test_backfill_never_delays_the_head():
    busy = {"d0": 10.0, "d1": 10.0}
    queue = [ask("head", 4), ask("back in time", 1, 10.0), ask("too long", 1, 11.0), ask("no limit", 1)]
    assert starts(plan(0.0, busy, set(), queue)) == {
        "head": 10.0,
        "back in time": 0.0,
        "too long": FOREVER,
        "no limit": FOREVER,
    }


def test_the_second_in_line_keeps_its_promise_too():
    """Where textbook EASY protects the head only, and the second could be overtaken again and again."""
    busy = {"d0": 10.0, "d1": 20.0, "d2": 20.0}
    queue = [ask("head", 2, 5.0), ask("second", 4, 5.0), ask("third", 1, 15.0)]
    slots = starts(plan(0.0, busy, set(), queue))
    assert slots == {"head": 10.0, "second": 20.0, "third": 25.0}


def test_nothing_that_competes_overtakes_an_unknown_start():
    queue = [ask("head", 4), ask("quick", 1, 0.001), ask("elsewhere", 1, 1.0, places=DEVICES[4:])]
    slots = plan(0.0, {"d0": FOREVER}, set(), queue)
    assert starts(slots) == {"head": FOREVER, "quick": FOREVER, "elsewhere": 0.0}


def test_a_request_for_certain_devices_competes_for_those_only():
    queue = [ask("certain", 2, places=DEVICES[:2]), ask("other", 2)]
    slots = plan(0.0, {"d0": FOREVER}, set(), queue)
    assert slots["other"].start == 0.0
    assert set(slots["other"].devices) == {"d2", "d3"}


def test_broken_devices_are_not_used_and_who_needs_them_holds_nobody_back():
    slots = plan(0.0, {}, {"d1"}, [ask("needs all", 4), ask("needs three", 3)])
    assert slots["needs all"].start == FOREVER
    assert slots["needs three"].devices == ("d0", "d2", "d3")


def test_a_holder_that_outstays_its_bound_moves_the_promise_by_a_moment_only():
    slots = plan(100.0, {"d0": 50.0}, set(), [ask("a", 4, 1.0, (50.0, ("d0", "d1", "d2", "d3")))])
    assert 100.0 < slots["a"].start <= 102.0


def test_a_promise_is_a_start_and_not_certain_devices():
    """`second` was promised d3 among others; with d3 moved to `first` both keep their word, and nothing idles."""
    now, soon = 0.0, 1.0
    first = ask("first", 4, promised=(soon, ("d0", "d1", "d2", "d4")), places=DEVICES)
    second = ask("second", 4, promised=(soon, ("d3", "d5", "d6", "d7")), places=DEVICES)
    slots = plan(now, dict.fromkeys(("d4", "d5", "d6", "d7"), soon), set(), [first, second])
    assert starts(slots) == {"first": now, "second": soon}
    assert slots["first"].devices == ("d0", "d1", "d2", "d3")


def test_devices_promised_to_those_who_need_just_them_are_not_given_away():
    first = ask("first", 2, promised=(1.0, ("d0", "d1")), places=DEVICES[:3])
    second = ask("second", 2, promised=(1.0, ("d2", "d3")), places=DEVICES[2:4])
    slots = plan(0.0, {"d1": 1.0, "d3": 1.0}, set(), [first, second])
    assert starts(slots) == {"first": 1.0, "second": 1.0}
