"""The queue of a host: tickets of those who wait, and the pass that says who is next.

There is no scheduler process. Whoever arrives, ends or gives up runs a pass: under the mutex it reads the tickets,
looks which devices are held, asks ``policy``, writes the plan and wakes those whose turn it is. Only the one whose
turn it is takes the devices, and only their own locks decide; so a pass that is late, stopped or wrong cannot
give a device to two.
"""

from __future__ import annotations

import os

from trainci.host.files import read_text, remove
from trainci.lease.queue import policy
from trainci.lease.store.directory import Directory, make_fifo
from trainci.lease.store.health import quarantined
from trainci.lease.store.locks import is_current, is_held, try_lock
from trainci.lease.store.records import (
    FOREVER,
    Place,
    Record,
    Request,
    Turn,
    dump_plan,
    load_plan,
    load_record,
    load_request,
)

# A waiter that was told that it is its turn takes its devices within milliseconds, unless it is stopped.
GRANT_LASTS_S = 2.0


def lock_paths(directory: Directory, place: Place, pattern: str) -> list[str]:
    """The files whose locks make up the hold of a device: ours, and the foreign one where a pattern names it."""
    own = directory.join("devices", f"{place.uuid}.lock")
    return [own, pattern.replace("{gpu_id}", str(place.index))] if pattern else [own]


def ticket_name(number: int, id: str) -> str:
    """The name of a ticket's file: names sort by arrival."""
    return f"{number:09d}-{id}"


class Ticket:
    """A place in the queue, alive as long as the process that opened it. ``bell`` can be polled: it is our turn."""

    def __init__(self, directory: Directory, request: Request, sequence: int) -> None:
        self._directory = directory
        self._name = ticket_name(sequence, request.id)
        self.path = directory.join("tickets", self._name)
        self.bell = self.descriptor = -1
        while not self._make(request):
            self.close()

    def _make(self, request: Request) -> bool:
        """False where a pass swept the half-made files: we were so slow that we had lost the mutex."""
        make_fifo(self._directory, f"{self.path}.fifo")
        unfinished = self._directory.join("tickets", f".{self._name}")
        try:
            # Opened for both, so that it never reads as closed when the last of those who ring has gone.
            self.bell = os.open(f"{self.path}.fifo", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self.descriptor = self._directory.create(unfinished, request.dump())
            try_lock(self.descriptor)
            os.rename(unfinished, self.path)
        except FileNotFoundError:
            return False
        return is_current(self.bell, f"{self.path}.fifo")

    def is_there(self) -> bool:
        """Is it still in the queue? It is not if somebody removed it while we were stopped half way here."""
        return is_current(self.descriptor, self.path)

    def silence(self) -> None:
        """Forget the rings so far."""
        try:
            os.read(self.bell, 4096)
        except BlockingIOError:
            return

    def remove(self) -> None:
        """Leave the queue."""
        remove(self.path)
        remove(f"{self.path}.fifo")
        self.close()

    def close(self) -> None:
        """Close the descriptors only: in a child that is not the owner."""
        for descriptor in (self.descriptor, self.bell):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self.bell = -1


def waiting(directory: Directory) -> list[tuple[int, Request]]:
    """Those who wait, in order of arrival, each with its number. Removes what the dead have left behind."""
    names = directory.names("tickets")
    alive = []
    for name in names:
        path = directory.join("tickets", name)
        if name.endswith(".fifo"):
            if name[:-5] not in names:
                remove(path)
        elif not is_held(path):
            remove(path)
            remove(f"{path}.fifo")
        elif not name.startswith("."):
            request = load_request(read_text(path) or "")
            if request is not None:
                alive.append((int(name.partition("-")[0]), request))
    return alive


def ring(path: str) -> None:
    """Wake whoever listens at this named pipe, if anybody does."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(descriptor, b"!")
    except (BlockingIOError, BrokenPipeError):
        pass
    finally:
        os.close(descriptor)


def ring_sentinel(directory: Directory) -> None:
    """Tell the one who watches for unclean deaths that there is something new to watch."""
    ring(directory.join("queue", "sentinel.fifo"))


def read_plan(directory: Directory) -> dict[str, Turn]:
    """What the last pass decided."""
    return load_plan(read_text(directory.join("queue", "plan")))


def write_plan(directory: Directory, plan: dict[str, Turn]) -> None:
    """Set down what was decided."""
    directory.replace(directory.join("queue", "plan"), dump_plan(plan))


def strangers(directory: Directory) -> set[str]:
    """The devices that a taker found locked by something that is no lease of ours."""
    return set((read_text(directory.join("queue", "strangers")) or "").split())


def note_strangers(directory: Directory, devices: set[str]) -> None:
    """Set down which devices strangers hold; whoever notes one sees to it that the sentinel looks at it."""
    directory.replace(directory.join("queue", "strangers"), " ".join(sorted(devices)))


class Pass:
    """One look at the whole queue, under the mutex: ``plan`` is what it decided, ``busy`` what it saw.

    It reads the records of leases and does not touch the locks of devices: a process that is stopped while it
    looks would keep a device from its next holder. Only where a stranger was met is the lock itself looked at.
    """

    def __init__(self, directory: Directory, now: float, queue: list[tuple[int, Request]], awake: str = "") -> None:
        """``queue`` in order of arrival. ``awake`` is the id of the request that runs this pass, if one does."""
        self._directory = directory
        self._now = now
        self.queue = [request for _, request in queue]
        self._numbers = {request.id: number for number, request in queue}
        self._before = read_plan(directory)
        self.plan = {request.id: self._reminded(request, awake) for request in self.queue}
        self.busy = self._look()
        self.broken = set(quarantined(directory))
        self._decide()

    def _reminded(self, request: Request, awake: str) -> Turn:
        """Where this request stood; a grant that was not taken in time, or not at all by its owner, is void."""
        old = self._before.get(request.id)
        if old is None:
            return Turn(FOREVER, ())
        if request.id == awake:
            return Turn(old.start, old.devices)
        if old.granted_at is not None and self._now - old.granted_at > GRANT_LASTS_S:
            return Turn(FOREVER, (), stalled=True)
        return old

    def _look(self) -> dict[str, float]:
        busy = {}
        noted = strangers(self._directory)
        left = set(noted)
        for request in self.queue:
            for place in request.places:
                if place.uuid in busy:
                    continue
                record = lease_of(self._directory, place.uuid)
                if record is not None:
                    # Of a lease without guardians nobody knows when its last process will have ended.
                    watched = is_held(self._directory.join("leases", record.id))
                    busy[place.uuid] = record.until if watched else FOREVER
                elif place.uuid in noted:
                    if any(is_held(path) for path in lock_paths(self._directory, place, request.pattern)):
                        busy[place.uuid] = FOREVER
                    else:
                        left.discard(place.uuid)
        left.difference_update([uuid for uuid in noted if uuid in busy and busy[uuid] < FOREVER])
        if left != noted:
            note_strangers(self._directory, left)
        return busy

    def _decide(self) -> None:
        taken = dict(self.busy)
        asks = []
        for request in self.queue:
            turn = self.plan[request.id]
            bound = FOREVER if request.bound is None else request.bound
            if turn.granted_at is not None:
                taken.update((device, self._now + bound) for device in turn.devices)
            elif not turn.stalled:
                promised = (turn.start, turn.devices) if turn.start < FOREVER else None
                asks.append(policy.Ask(request.id, request.count, request.places, bound, promised))
        slots = policy.plan(self._now, taken, self.broken, asks)
        for id, slot in slots.items():
            granted_at = self._now if slot.start <= self._now else None
            self.plan[id] = Turn(slot.start, slot.devices, granted_at)

    def publish(self) -> None:
        """Write the plan."""
        text = dump_plan(self.plan)
        if text != dump_plan(self._before):
            self._directory.replace(self._directory.join("queue", "plan"), text)

    def wake(self, me: str = "") -> None:
        """Wake those whose turn it is, but ``me``. Call it without the mutex: they need it at once.

        Those who were granted earlier and have not come yet are woken again: whoever granted it may have been
        killed before it rang.
        """
        for request in self.queue:
            turn = self.plan.get(request.id)
            if request.id != me and turn is not None and turn.granted_at is not None:
                ring(self._directory.join("tickets", f"{self.ticket_name(request)}.fifo"))

    def ticket_name(self, request: Request) -> str:
        """The name of a waiting request's ticket."""
        return ticket_name(self._numbers[request.id], request.id)


def lease_of(directory: Directory, uuid: str) -> Record | None:
    """The lease that holds a device, or that held it last and of whose job something may be left."""
    id = (read_text(directory.join("devices", f"{uuid}.lock")) or "").strip()
    record = load_record(read_text(directory.join("leases", id))) if id else None
    return record if record is not None and uuid in record.devices else None
