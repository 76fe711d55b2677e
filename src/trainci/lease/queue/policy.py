"""Who is next. Pure: the queue, the devices and the time come in, the plan goes out.

Requests are served in order of arrival and of priority (``priority``), with backfill. Textbook EASY (Lifka 1995)
protects the head of the queue only; here every waiting request keeps the start that it was promised when it arrived
(conservative backfill with compression; Feitelson and Mu'alem 2001): a later request starts earlier only where that
delays no other request. Only what is urgent moves, when it comes, the starts of those that it passes.

What is not known is not promised: behind a holder that gave no time limit a start is unknown (FOREVER), and a
request with an unknown start keeps every device that it could use from all who came after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from trainci.lease.queue.placement import choose
from trainci.lease.queue.priority import in_turn, passed
from trainci.lease.store.records import FOREVER, Request, Reservation
from trainci.model.device import Device

# A holder past its bound is being ended; it is expected to be gone this soon, again and again until it is.
_OVERRUN_S = 1.0


def plan(
    now: float,
    busy: Mapping[str, float],
    broken: AbstractSet[str],
    queue: Sequence[Request],
    promised: Mapping[str, Reservation],
) -> dict[str, Reservation]:
    """A reservation for every request of ``queue`` (in order of arrival). Those that start ``now`` may start now.

    ``busy`` maps each held device to when it is free at the latest (FOREVER: unknown); ``broken`` are devices
    that are not to be used. A request that cannot be met without a broken device waits, and delays no other.
    ``promised`` are the reservations that were given before, by request; a new arrival has none.
    """
    turn = in_turn(queue)
    lost = passed(queue, turn, promised.keys())
    promised = {id: found for id, found in promised.items() if id not in lost}
    busy = {device: until if until > now else now + _OVERRUN_S for device, until in busy.items()}
    able = [wanted for wanted in turn if sum(d.uuid not in broken for d in wanted.devices) >= wanted.count]
    reserved = _kept(now, busy, broken, able, promised)
    _compress(now, busy, broken, able, reserved)
    return {wanted.id: reserved.get(wanted.id, Reservation()) for wanted in queue}


def _kept(
    now: float,
    busy: Mapping[str, float],
    broken: AbstractSet[str],
    queue: Sequence[Request],
    promised: Mapping[str, Reservation],
) -> dict[str, Reservation]:
    """The promises of old, as far as they can still be kept.

    They can, unless a holder outstayed its bound or a device broke; then those that are first keep theirs first.
    """
    kept: dict[str, Reservation] = {}
    profile = _Profile(now, busy, broken)
    # Of those that start at one time, the first in turn comes first: the sort is stable.
    known = [wanted for wanted in queue if wanted.id in promised and promised[wanted.id].start < FOREVER]
    for wanted in sorted(known, key=lambda wanted: promised[wanted.id].start):
        start, devices = max(promised[wanted.id].start, now), promised[wanted.id].devices
        if broken.isdisjoint(devices) and profile.free_from(devices, start, wanted.bound):
            found = Reservation(start, devices)
        else:
            found = profile.earliest(wanted, FOREVER)
        if found.start < FOREVER:
            kept[wanted.id] = found
            profile.reserve(found, wanted.bound)
    return kept


def _compress(
    now: float,
    busy: Mapping[str, float],
    broken: AbstractSet[str],
    queue: Sequence[Request],
    reserved: dict[str, Reservation],
) -> None:
    """Give each request, in turn, the earliest start that moves no other's."""
    requests = {wanted.id: wanted for wanted in queue}
    profile = _profile_of(now, busy, broken, requests, reserved)
    unknown: list[Request] = []
    for wanted in queue:
        old = reserved.get(wanted.id)
        if old is not None:
            if old.start <= now:
                continue
            profile.cancel(old, wanted.bound)
        kept_back = {device.uuid for earlier in unknown for device in earlier.devices}
        found = profile.earliest(wanted, old.start if old else FOREVER, kept_back)
        if old is not None and found.start >= old.start:
            found = old
        moved = None
        if found.start > now:
            moved = _rearranged(now, busy, broken | kept_back, wanted, requests, reserved)
        if moved is not None:
            reserved.update(moved)
            profile = _profile_of(now, busy, broken, requests, reserved)
        elif found.start < FOREVER:
            reserved[wanted.id] = found
            profile.reserve(found, wanted.bound)
        else:
            unknown.append(wanted)


def _rearranged(
    now: float,
    busy: Mapping[str, float],
    unusable: AbstractSet[str],
    wanted: Request,
    requests: Mapping[str, Request],
    reserved: Mapping[str, Reservation],
) -> dict[str, Reservation] | None:
    """Reservations with which ``wanted`` starts now and all others when they were to, on other devices; None if not
    found.

    A promise is a start, not certain devices. Where devices are alike, placing in order of start finds a way if
    there is one (interval partitioning); those that want certain devices are placed before.
    """
    if sum(d.uuid not in unusable and d.uuid not in busy for d in wanted.devices) < wanted.count:
        return None
    profile = _Profile(now, busy, unusable)
    starts = {wanted.id: now}
    for id, old in reserved.items():
        if old.start <= now:
            profile.reserve(old, requests[id].bound)
        elif id != wanted.id:
            starts[id] = old.start
    found = {}
    for id in sorted(starts, key=lambda id: (len(requests[id].devices) > requests[id].count, starts[id])):
        moved = profile.at(requests[id], starts[id])
        if moved is None:
            return None
        found[id] = moved
        profile.reserve(moved, requests[id].bound)
    return found


class _Profile:
    """When each device is taken: until it is free of its holder, and by reservations."""

    def __init__(self, now: float, busy: Mapping[str, float], broken: AbstractSet[str]) -> None:
        self._now = now
        self._busy = busy
        self._broken = broken
        self._taken: dict[str, list[tuple[float, float]]] = {}

    def reserve(self, reservation: Reservation, bound: float) -> None:
        for device in reservation.devices:
            self._taken.setdefault(device, []).append((reservation.start, reservation.start + bound))

    def cancel(self, reservation: Reservation, bound: float) -> None:
        for device in reservation.devices:
            self._taken[device].remove((reservation.start, reservation.start + bound))

    def free_from(self, devices: Sequence[str], start: float, bound: float) -> bool:
        """Are these devices free for ``bound`` seconds from ``start``?"""
        return all(self._free(device, start, start + bound) for device in devices)

    def earliest(self, wanted: Request, before: float, kept_back: AbstractSet[str] = frozenset()) -> Reservation:
        """The earliest start of ``wanted`` before ``before``; FOREVER, with no devices, where there is none."""
        usable = [d for d in wanted.devices if d.uuid not in self._broken and d.uuid not in kept_back]
        if len(usable) < wanted.count:
            return Reservation()
        for start in self._candidates(usable, before):
            found = self.at(wanted, start, kept_back)
            if found is not None:
                return found
        return Reservation()

    def at(self, wanted: Request, start: float, kept_back: AbstractSet[str] = frozenset()) -> Reservation | None:
        """A reservation with which ``wanted`` starts at ``start``, if there is one."""
        unusable = self._broken | kept_back
        free = [
            device
            for device in wanted.devices
            if device.uuid not in unusable and self._free(device.uuid, start, start + wanted.bound)
        ]
        if len(free) < wanted.count:
            return None
        return Reservation(start, choose(wanted.count, free, wanted.devices))

    def _candidates(self, devices: Sequence[Device], before: float) -> list[float]:
        """The moments at which one of the devices becomes free: the only ones where a reservation can begin."""
        moments = {self._now}
        for device in devices:
            moments.add(self._busy.get(device.uuid, self._now))
            moments.update(end for _, end in self._taken.get(device.uuid, ()))
        return sorted(moment for moment in moments if moment < before)

    def _free(self, device: str, start: float, end: float) -> bool:
        if self._busy.get(device, 0.0) > start:
            return False
        return all(end <= begun or start >= ended for begun, ended in self._taken.get(device, ()))


def _profile_of(
    now: float,
    busy: Mapping[str, float],
    broken: AbstractSet[str],
    requests: Mapping[str, Request],
    reserved: Mapping[str, Reservation],
) -> _Profile:
    profile = _Profile(now, busy, broken)
    for id, found in reserved.items():
        profile.reserve(found, requests[id].bound)
    return profile
