"""The scheduling cycle: who waits, which devices are held, who is next.

There is no scheduler process. Whoever arrives, ends or gives up runs a cycle: under the mutex it reads the tickets,
sees which devices are held, asks ``policy``, writes the reservations and wakes those whose turn it is. Only the
one whose turn it is takes the devices, and only their own locks decide; so a cycle that is late, stopped or wrong
cannot give a device to two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from trainci.errors import MachineError
from trainci.lease.queue import policy
from trainci.lease.queue.tickets import Arrival, ring
from trainci.lease.store import marks, outside
from trainci.lease.store.claims import claimed
from trainci.lease.store.directory import Directory
from trainci.lease.store.files import read_text
from trainci.lease.store.leases import running
from trainci.lease.store.locks import is_held
from trainci.lease.store.records import (
    FOREVER,
    Request,
    Reservation,
    dump_reservations,
    load_reservations,
)
from trainci.model.device import Device

# A waiter that was told that it is its turn takes its devices within milliseconds, unless it is stopped.
GRANT_LASTS_S = 2.0


@dataclass(frozen=True)
class Decision:
    """What one cycle decided, and what it saw.

    ``queue`` are those who wait; ``reservations`` theirs, by request, in the place of those in ``before``.
    ``busy`` maps each held device to when it is free at the latest, ``unusable`` those that are not handed out
    now to why, ``foreign`` are those that foreign holders keep, in the place of those in ``foreign_before``.
    """

    queue: tuple[Arrival, ...]
    reservations: Mapping[str, Reservation]
    before: Mapping[str, Reservation]
    busy: Mapping[str, float]
    unusable: Mapping[str, str]
    foreign: frozenset[str]
    foreign_before: frozenset[str]

    def with_taken(self, id: str) -> Decision:
        """The same once this request has taken its devices, and so left the queue."""
        left = {waiting: found for waiting, found in self.reservations.items() if waiting != id}
        return replace(self, reservations=left)

    def with_refused(self, id: str) -> Decision:
        """The same once this request was granted devices that it cannot have now."""
        refused = replace(self.reservations[id], granted_at=None)
        return replace(self, reservations={**self.reservations, id: refused})


def run_cycle(
    directory: Directory,
    now: float,
    queue: Sequence[Arrival],
    awake: str = "",
    found_foreign: frozenset[str] = frozenset(),
) -> Decision:
    """Look at everything, and decide. Nothing is written: see ``publish``. The caller holds the mutex.

    ``queue`` in order of arrival. ``awake`` is the id of the request that runs this cycle, if one does;
    ``found_foreign`` are devices that it just found locked by foreign holders.

    It reads the records of leases and does not touch the locks of devices: a process that is stopped while it
    looks would keep a device from its next holder. The lock itself is tried only where a foreign holder was met.
    """
    before = read_reservations(directory)
    foreign_before = foreign_devices(directory)
    requests = [arrival.request for arrival in queue]
    busy, foreign = _held(directory, requests, foreign_before | found_foreign)
    withheld = unusable(directory, now)
    standing = {request.id: _standing(request, before, now, awake) for request in requests}
    reservations = _decide(now, requests, standing, before, busy, withheld.keys())
    return Decision(tuple(queue), reservations, before, busy, withheld, foreign, foreign_before)


def publish(directory: Directory, decision: Decision) -> None:
    """Write down what was decided. The caller still holds the mutex.

    Where it cannot be written (the disk is full) only promises are lost: the process that is woken decides again.
    """
    try:
        if decision.foreign != decision.foreign_before:
            note_foreign(directory, decision.foreign)
        if decision.reservations != decision.before:
            directory.write(directory.join("queue", "reservations"), dump_reservations(decision.reservations))
    except (OSError, MachineError):
        return


def wake(directory: Directory, decision: Decision, me: str = "") -> None:
    """Wake those whose turn it is, but ``me``. Call it without the mutex: they need it at once.

    Those who were granted earlier and have not come yet are woken again: the process that granted it may have been
    killed before it rang.
    """
    for arrival in decision.queue:
        id = arrival.request.id
        if id != me and id in decision.reservations and decision.reservations[id].granted_at is not None:
            ring(directory.join("tickets", f"{arrival.ticket}.fifo"))


def ring_watcher(directory: Directory) -> None:
    """Tell the one who watches for unclean deaths that there is something new to watch."""
    ring(directory.join("queue", "watcher.fifo"))


def read_reservations(directory: Directory) -> dict[str, Reservation]:
    """What the last cycle decided."""
    return load_reservations(read_text(directory.join("queue", "reservations")))


def reservation_of(request: Request, reservations: Mapping[str, Reservation]) -> Reservation:
    """The reservation of this request; one of nothing where there is none, or one that is not for its devices."""
    found = reservations.get(request.id, Reservation())
    known = found.start == FOREVER or len(set(found.devices)) == len(found.devices) == request.count
    fits = known and set(found.devices) <= {device.uuid for device in request.devices}
    return found if fits else Reservation()


def unusable(directory: Directory, now: float) -> dict[str, str]:
    """The devices that are not handed out now, each with the reason in words."""
    return {**outside.in_use(directory, now), **marks.withheld(directory)}


def foreign_devices(directory: Directory) -> frozenset[str]:
    """The devices that a taker found locked by a foreign holder, one that has no lease of ours."""
    return frozenset((read_text(directory.join("queue", "foreign")) or "").split())


def note_foreign(directory: Directory, devices: frozenset[str]) -> None:
    """Write down which devices foreign holders keep; the process that finds one tells the watcher."""
    directory.write(directory.join("queue", "foreign"), " ".join(sorted(devices)))


def lock_paths(directory: Directory, device: Device, pattern: str) -> list[str]:
    """The files whose locks make up the hold of a device: ours, and the foreign one where a pattern names it."""
    own = directory.join("devices", f"{device.uuid}.lock")
    return [own, pattern.replace("{gpu_id}", str(device.index))] if pattern else [own]


def is_taken(directory: Directory, device: Device, pattern: str = "") -> bool:
    """Does any process hold this device, whether or not a record says so?"""
    return any(map(is_held, lock_paths(directory, device, pattern))) or bool(claimed(directory, {device.uuid}))


def _held(
    directory: Directory, requests: Sequence[Request], noted: frozenset[str]
) -> tuple[dict[str, float], frozenset[str]]:
    """When each held device that is asked for is free at the latest; which ``noted`` devices still are foreign."""
    busy: dict[str, float] = {}
    for lease in running(directory):
        # Where no process watches over a lease it is not known when its last process will have ended.
        until = lease.record.until if lease.watched else FOREVER
        busy.update((uuid, max(until, busy.get(uuid, 0.0))) for uuid in lease.record.devices)
    cleared = {uuid for uuid in noted if busy.get(uuid, FOREVER) < FOREVER}
    for request in requests:
        for device in request.devices:
            if device.uuid in busy or device.uuid not in noted:
                continue
            if is_taken(directory, device, request.pattern):
                busy[device.uuid] = FOREVER
            else:
                cleared.add(device.uuid)
    return busy, noted - cleared


def _standing(request: Request, before: Mapping[str, Reservation], now: float, awake: str) -> Reservation:
    """Where this request stood; a grant that its owner did not take in time does not count."""
    old = reservation_of(request, before)
    if request.id == awake:
        return Reservation(old.start, old.devices)
    if old.granted_at is not None and now - old.granted_at > GRANT_LASTS_S:
        return Reservation(stalled=True)
    return old


def _decide(
    now: float,
    requests: Sequence[Request],
    standing: Mapping[str, Reservation],
    before: Mapping[str, Reservation],
    busy: Mapping[str, float],
    broken: AbstractSet[str],
) -> dict[str, Reservation]:
    """A grant that stands keeps its devices, a request that stalled waits until its owner looks; ``policy`` serves
    the others, and those that may start now are granted it."""
    taken = dict(busy)
    served = []
    for request in requests:
        old = standing[request.id]
        if old.granted_at is not None:
            taken.update((device, now + request.bound) for device in old.devices)
        elif not old.stalled:
            served.append(request)
    promised = {id: found for id, found in standing.items() if id in before}
    planned = policy.plan(now, taken, broken, served, promised)
    granted = {id: replace(found, granted_at=now) if found.start <= now else found for id, found in planned.items()}
    return {**standing, **granted}
