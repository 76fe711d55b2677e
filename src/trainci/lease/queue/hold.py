"""A lease that is held: acquiring it, all devices or none, and releasing it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable

from trainci.host import cgroup
from trainci.host.files import read_text, remove
from trainci.host.processes import end_found, marked
from trainci.lease.protocol import LEASE_VARIABLE
from trainci.lease.queue.cycle import lock_paths, publish, ring_watcher, run_cycle, wake
from trainci.lease.queue.tickets import waiting
from trainci.lease.store.directory import Directory
from trainci.lease.store.health import Probe, broken_by, quarantine
from trainci.lease.store.locks import Mutex, is_held, take, try_lock
from trainci.lease.store.ports import take_block
from trainci.lease.store.records import Record, Request
from trainci.model import Device


class Lease:
    """Devices and ports that are ours while ``locks`` are open, here or in any process that inherited them.

    ``guard`` is the lock on the lease's own record: open in the two processes that watch over the job, and in no
    other, so that it comes free when nobody is left to clean up.
    """

    def __init__(
        self, directory: Directory, record: Record, devices: tuple[Device, ...], locks: list[int], guard: int
    ) -> None:
        self.directory = directory
        self.record = record
        self.devices = devices
        self.locks = locks
        self.guard = guard
        self.port_base = 0
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

    def hand_over(self) -> None:
        """Release everything and wake whoever is next. Call it when no process of the job is left."""
        for uuid, reason in broken_by(self._xids()).items():
            quarantine(self.directory, uuid, reason, time.time())
        with Mutex(self.directory):
            self.release()
            queue = waiting(self.directory) if self.devices else ()
            if not queue:
                return
            decision = run_cycle(self.directory, time.time(), queue)
            publish(self.directory, decision)
        wake(self.directory, decision)

    def release(self) -> None:
        """Give everything back; the caller holds the mutex and sees to the others."""
        remove(self._path)
        for descriptor in (*self.locks, self.guard):
            # Not by closing alone: the other process that watches over the job may be stopped, and has them open.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        self.detach()

    def detach(self) -> None:
        """Close our descriptors only; what other processes of the job hold stays held, and stays recorded."""
        for descriptor in (*self.locks, self.guard):
            os.close(descriptor)

    def is_released(self) -> bool:
        """Has somebody released it already, here or in the other process that watches over the job?"""
        return read_text(self._path) is None

    @property
    def _path(self) -> str:
        return self.directory.join("leases", self.record.id)


class LockedError(Exception):
    """A device could not be taken. ``foreign`` is its id when something that has no lease of ours holds it."""

    def __init__(self, foreign: str = "") -> None:
        super().__init__(foreign)
        self.foreign = foreign


def acquire(directory: Directory, request: Request, devices: tuple[Device, ...], now: float) -> Lease:
    """Take these devices, all or none; the caller holds the mutex.

    :raises LockedError: one of them is held.
    """
    locks: list[int] = []
    owned: list[int] = []
    try:
        for device in devices:
            first = len(locks)
            for path in lock_paths(directory, device, request.pattern):
                locks.append(_take_one(directory, device, path))
            owned.append(locks[first])
    except BaseException:
        for held in locks:
            os.close(held)
        raise
    ids = tuple(device.uuid for device in devices)
    group = cgroup.path_for(request.id)
    record = Record(request.id, ids, request.name, request.uid, request.pid, now, now + request.bound, group)
    guard = _record(directory, record)
    for descriptor in owned:
        os.pwrite(descriptor, f"{record.id}\n".encode(), 0)
    return Lease(directory, record, devices, locks, guard)


def _take_one(directory: Directory, device: Device, path: str) -> int:
    descriptor = take(directory, path)
    if descriptor is None:
        raise LockedError(device.uuid if is_held(path) else "")
    return descriptor


def _record(directory: Directory, record: Record) -> int:
    """Write the record of a lease; the descriptor that holds its lock.

    It is locked before it is in its place: without a lock it would look as if the processes that watch over the job
    were dead. Among the tickets, a cycle removes what somebody who was killed half way has left.
    """
    unfinished = directory.join("tickets", f".lease-{record.id}")
    guard = directory.create(unfinished, record.dump())
    try_lock(guard)
    os.rename(unfinished, directory.join("leases", record.id))
    return guard


def end_survivors(directory: Directory, record: Record, grace: float) -> None:
    """End what is left of a job that nobody watches over; remove its record once nothing is left of it."""
    path = directory.join("leases", record.id)
    if read_text(path) is None or is_held(path):
        return
    group = cgroup.checked(record.cgroup, record.id)
    left = end_found(lambda: [*{*marked(LEASE_VARIABLE, record.id), *cgroup.members(group)}], grace)
    if not left and cgroup.end(group):
        cgroup.remove(group)
        remove(path)
        ring_watcher(directory)
