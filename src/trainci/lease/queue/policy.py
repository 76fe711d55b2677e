"""Who is next. Pure: the queue, the devices and the time come in, the plan goes out.

Requests are served in order of arrival, with backfill. Textbook EASY (Lifka 1995) protects the head of the queue
only; here every waiting request keeps the start that it was promised when it arrived (conservative backfill with
compression; Feitelson and Mu'alem 2001): a later request starts earlier only where that moves nobody's start.

What is not known is not promised: behind a holder that gave no time limit a start is unknown (FOREVER), and a
request with an unknown start keeps every device that it could use from all who came after it.
"""

from __future__ import annotations

from trainci.lease.queue.placement import choose
from trainci.lease.store.records import FOREVER, Place

# A holder past its bound is being ended; it is expected to be gone this soon, again and again until it is.
_OVERRUN_S = 1.0


class Ask:
    """A waiting request as the policy sees it: ``count`` of ``places`` for at most ``bound`` seconds.

    ``promised`` is the start that it was given before, with the devices of it; None for a new arrival.
    """

    __slots__ = ("bound", "count", "id", "places", "promised")

    def __init__(
        self,
        id: str,
        count: int,
        places: tuple[Place, ...],
        bound: float,
        promised: tuple[float, tuple[str, ...]] | None = None,
    ) -> None:
        self.id = id
        self.count = count
        self.places = places
        self.bound = bound
        self.promised = promised


class Slot:
    """The answer for one request: start at ``start`` on ``devices``; FOREVER with no devices when unknown."""

    __slots__ = ("devices", "start")

    def __init__(self, start: float, devices: tuple[str, ...] = ()) -> None:
        self.start = start
        self.devices = devices


def plan(now: float, busy: dict[str, float], broken: set[str], queue: list[Ask]) -> dict[str, Slot]:
    """A slot for every request of ``queue`` (in order of arrival). Those that start ``now`` may start now.

    ``busy`` maps each held device to when it is free at the latest (FOREVER: unknown); ``broken`` are devices
    that are not to be used. A request that cannot be met without a broken device waits, and holds nobody back.
    """
    busy = {device: until if until > now else now + _OVERRUN_S for device, until in busy.items()}
    able = [ask for ask in queue if sum(place.uuid not in broken for place in ask.places) >= ask.count]
    slots = _kept(now, busy, broken, able)
    _compress(now, busy, broken, able, slots)
    return {ask.id: slots.get(ask.id, Slot(FOREVER)) for ask in queue}


def _kept(now: float, busy: dict[str, float], broken: set[str], queue: list[Ask]) -> dict[str, Slot]:
    """The promises of old, as far as they can still be kept.

    They can, unless a holder outstayed its bound or a device broke; then those that are first keep theirs first.
    """
    order = {ask.id: position for position, ask in enumerate(queue)}
    promised = [ask for ask in queue if ask.promised is not None and ask.promised[0] < FOREVER]
    promised.sort(key=lambda ask: (ask.promised[0], order[ask.id]) if ask.promised else (FOREVER, 0))
    slots: dict[str, Slot] = {}
    profile = _Profile(now, busy, broken)
    for ask in promised:
        assert ask.promised is not None
        start, devices = max(ask.promised[0], now), ask.promised[1]
        if broken.isdisjoint(devices) and profile.free_from(devices, start, ask.bound):
            slot = Slot(start, devices)
        else:
            slot = profile.earliest(ask, FOREVER)
        if slot.start < FOREVER:
            slots[ask.id] = slot
            profile.reserve(slot, ask.bound)
    return slots


def _compress(
    now: float, busy: dict[str, float], broken: set[str], queue: list[Ask], slots: dict[str, Slot]
) -> None:
    """Give each request, in order of arrival, the earliest start that moves nobody else's."""
    asks = {ask.id: ask for ask in queue}
    profile = _Profile(now, busy, broken)
    for id, slot in slots.items():
        profile.reserve(slot, asks[id].bound)
    unknown: list[Ask] = []
    for ask in queue:
        old = slots.get(ask.id)
        if old is not None:
            if old.start <= now:
                continue
            profile.cancel(old, ask.bound)
        kept_back = {place.uuid for earlier in unknown for place in earlier.places}
        slot = profile.earliest(ask, old.start if old else FOREVER, kept_back)
        if old is not None and slot.start >= old.start:
            slot = old
        moved = _rearranged(now, busy, broken | kept_back, ask, asks, slots) if slot.start > now else None
        if moved is not None:
            slots.update(moved)
            profile = _Profile(now, busy, broken)
            for id, moved_slot in slots.items():
                profile.reserve(moved_slot, asks[id].bound)
        elif slot.start < FOREVER:
            slots[ask.id] = slot
            profile.reserve(slot, ask.bound)
        else:
            unknown.append(ask)


def _rearranged(
    now: float, busy: dict[str, float], unusable: set[str], ask: Ask, asks: dict[str, Ask], slots: dict[str, Slot]
) -> dict[str, Slot] | None:
    """Slots with which ``ask`` starts now and all others when they were to, on other devices; None if not found.

    A promise is a start, not certain devices. Where devices are alike, placing in order of start finds a way if
    there is one (interval partitioning); those that want certain devices are placed before.
    """
    if sum(place.uuid not in unusable and place.uuid not in busy for place in ask.places) < ask.count:
        return None
    profile = _Profile(now, busy, unusable)
    starts = {ask.id: now}
    for id, slot in slots.items():
        if slot.start <= now:
            profile.reserve(slot, asks[id].bound)
        elif id != ask.id:
            starts[id] = slot.start
    found = {}
    for id in sorted(starts, key=lambda id: (len(asks[id].places) > asks[id].count, starts[id])):
        moved = profile.at(asks[id], starts[id])
        if moved is None:
            return None
        found[id] = moved
        profile.reserve(moved, asks[id].bound)
    return found


class _Profile:
    """When each device is taken: until it is free of its holder, and by reservations."""

    def __init__(self, now: float, busy: dict[str, float], broken: set[str]) -> None:
        self._now = now
        self._busy = busy
        self._broken = broken
        self._taken: dict[str, list[tuple[float, float]]] = {}

    def reserve(self, slot: Slot, bound: float) -> None:
        for device in slot.devices:
            self._taken.setdefault(device, []).append((slot.start, slot.start + bound))

    def cancel(self, slot: Slot, bound: float) -> None:
        for device in slot.devices:
            self._taken[device].remove((slot.start, slot.start + bound))

    def free_from(self, devices: tuple[str, ...], start: float, bound: float) -> bool:
        """Are these devices free for ``bound`` seconds from ``start``?"""
        return all(self._free(device, start, start + bound) for device in devices)

    def earliest(self, ask: Ask, before: float, kept_back: set[str] | frozenset[str] = frozenset()) -> Slot:
        """The earliest slot of ``ask`` that starts before ``before``; FOREVER where there is none."""
        usable = [p for p in ask.places if p.uuid not in self._broken and p.uuid not in kept_back]
        if len(usable) < ask.count:
            return Slot(FOREVER)
        for start in self._candidates(usable, before):
            slot = self.at(ask, start, kept_back)
            if slot is not None:
                return slot
        return Slot(FOREVER)

    def at(self, ask: Ask, start: float, kept_back: set[str] | frozenset[str] = frozenset()) -> Slot | None:
        """A slot of ``ask`` that starts at ``start``, if there is one."""
        unusable = self._broken | kept_back
        free = [
            place
            for place in ask.places
            if place.uuid not in unusable and self._free(place.uuid, start, start + ask.bound)
        ]
        return Slot(start, choose(ask.count, free, ask.places)) if len(free) >= ask.count else None

    def _candidates(self, places: list[Place], before: float) -> list[float]:
        """The moments at which one of the places becomes free: the only ones where a slot can begin."""
        moments = {self._now}
        for place in places:
            moments.add(self._busy.get(place.uuid, self._now))
            moments.update(end for _, end in self._taken.get(place.uuid, ()))
        return sorted(moment for moment in moments if moment < before)

    def _free(self, device: str, start: float, end: float) -> bool:
        if self._busy.get(device, 0.0) > start:
            return False
        return all(end <= begun or start >= ended for begun, ended in self._taken.get(device, ()))
