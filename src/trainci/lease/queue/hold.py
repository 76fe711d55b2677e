"""A lease that is held: taking it, all devices or none, and letting it go."""

from __future__ import annotations

import fcntl
import os
import time

from trainci.host import cgroup
from trainci.host.files import read_text, remove
from trainci.host.processes import Process, end, marked
from trainci.lease.queue.cycle import Pass, lock_paths, ring_sentinel, waiting
from trainci.lease.store.directory import Directory
from trainci.lease.store.health import Probe, broken_by, quarantine
from trainci.lease.store.locks import Mutex, is_held, take, try_lock
from trainci.lease.store.ports import take_block
from trainci.lease.store.records import FOREVER, Place, Record, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# The environment variable that marks every process of a lease; a lease within a lease adds its id after a "/".
MARKER = "TRAINCI_LEASE"


class Lease:
    """Devices and ports that are ours while ``locks`` are open, here or in any process that inherited them.

    ``guard`` is the lock on the lease's own record: open in the two processes that watch over the job, and in no
    other, so that it comes free when nobody is left to clean up. ``unclean`` are the records of leases that held
    one of these devices before and did not end cleanly.
    """

    def __init__(
        self, directory: Directory, record: Record, places: tuple[Place, ...], locks: list[int], guard: int
    ) -> None:
        self.directory = directory
        self.record = record
        self.places = places
        self.locks = locks
        self.guard = guard
        self.port_base = 0
        self.asked_at = record.since
        # How its devices are asked about their health; None for those that need no asking.
        self.probe: Probe | None = None
        self._xids: Callable[[], Iterable[tuple[str, int]]] = tuple

    def take_ports(self) -> None:
        """Take a block of ports, held like the devices.

        :raises MachineError: none is free.
        """
        self.port_base, descriptor = take_block(int(self.record.id, 16))
        self.locks.append(descriptor)

    def listen(self) -> None:
        """Hear from now on what goes wrong with the devices; those that break are quarantined at the end.

        Call it in one process, and not before a fork: NVML does not outlive one.
        """
        if self.probe is not None:
            self._xids = self.probe.listen(self.record.devices)

    def let_go(self) -> None:
        """Give everything back and wake whoever is next. Call it when no process of the job is left."""
        for uuid, reason in broken_by(self._xids()).items():
            quarantine(self.directory, uuid, reason, time.time())
        with Mutex(self.directory):
            self.drop()
            queue = waiting(self.directory) if self.places else []
            if not queue:
                return
            look = Pass(self.directory, time.time(), queue)
            look.publish()
        look.wake()

    def is_given_back(self) -> bool:
        """Has somebody, here or in the other process that watches over the job, given it back already?"""
        return read_text(self._path) is None

    def drop(self) -> None:
        """Give everything back; the caller holds the mutex and sees to the others."""
        remove(self._path)
        for descriptor in (*self.locks, self.guard):
            # Not by closing alone: the other process that watches over the job may be stopped, and has them open.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        self.abandon()

    def abandon(self) -> None:
        """Close our descriptors only; what other processes of the job hold stays held, and stays recorded."""
        for descriptor in (*self.locks, self.guard):
            os.close(descriptor)

    @property
    def _path(self) -> str:
        return self.directory.join("leases", self.record.id)


class LockedError(Exception):
    """A device could not be taken. ``stranger`` is its id when something that is no lease of ours holds it."""

    def __init__(self, stranger: str = "") -> None:
        super().__init__(stranger)
        self.stranger = stranger


def take_lease(directory: Directory, request: Request, places: tuple[Place, ...], now: float) -> Lease:
    """Take these devices, all or none; the caller holds the mutex.

    :raises LockedError: one of them is held.
    """
    locks: list[int] = []
    owners: list[int] = []
    try:
        for place in places:
            for path in lock_paths(directory, place, request.pattern):
                locks.append(_take_one(directory, place, path))
            owners.append(locks[-2] if request.pattern else locks[-1])
    except BaseException:
        for held in locks:
            os.close(held)
        raise
    until = FOREVER if request.bound is None else now + request.bound
    ids = tuple(place.uuid for place in places)
    record = Record(
        request.id, ids, request.name, request.uid, request.pid, now, until, cgroup.path_for(request.id)
    )
    # Locked before it is in its place: without a lock it would look as if its guardians were dead. Among the
    # tickets, a pass removes what somebody who was killed half way has left.
    unfinished = directory.join("tickets", f".lease-{record.id}")
    guard = directory.create(unfinished, record.dump())
    try_lock(guard)
    os.rename(unfinished, directory.join("leases", record.id))
    for descriptor in owners:
        os.pwrite(descriptor, f"{record.id}\n".encode(), 0)
    lease = Lease(directory, record, places, locks, guard)
    lease.asked_at = request.since
    return lease


def _take_one(directory: Directory, place: Place, path: str) -> int:
    descriptor = take(directory, path)
    if descriptor is None:
        raise LockedError(place.uuid if is_held(path) else "")
    return descriptor


def end_survivors(directory: Directory, record: Record, grace: float) -> list[Process]:
    """End what is left of a job whose guardians are gone; remove its record once nothing is left of it.

    Returns the processes that could not be ended.
    """
    path = directory.join("leases", record.id)
    if read_text(path) is None or is_held(path):
        return []
    group = cgroup.checked(record.cgroup, record.id)
    left = end(lambda: {*marked(MARKER, record.id), *cgroup.members(group)} or None, grace)
    if not left and cgroup.end(group):
        cgroup.remove(group)
        remove(path)
        ring_sentinel(directory)
    return left
