"""A lease that is held: acquiring it, all devices or none, and releasing it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from trainci.errors import MachineError
from trainci.host import cgroup
from trainci.host.processes import Process, end, marked, owner
from trainci.lease.protocol import DEVICES_VARIABLE, LEASE_VARIABLE
from trainci.lease.queue.cycle import lock_paths, publish, ring_watcher, run_cycle, wake
from trainci.lease.queue.tickets import waiting
from trainci.lease.store.claims import claim
from trainci.lease.store.directory import Directory, remove_nested
from trainci.lease.store.files import remove
from trainci.lease.store.leases import find, identity
from trainci.lease.store.locks import is_held, take, try_lock
from trainci.lease.store.marks import forgiven, quarantine
from trainci.lease.store.mutex import Mutex
from trainci.lease.store.ports import take_block
from trainci.lease.store.records import Record, Request
from trainci.model.device import Device
from trainci.model.seen import NOTHING_SEEN, Seen

if TYPE_CHECKING:
    from trainci.lease.store.health import Probe


class Lease:
    """Devices and ports that are ours while ``locks`` are open, here or in any process that inherited them.

    So are ``claims``, but the wrapper gives them away: unlike a lock they are not released before the last process
    that has them open ends, and it may be stopped. ``guard`` is the lock on the lease's own record: open in the two
    processes that watch over the job, and in no other, so that it comes free when neither is left to clean up.
    """

    def __init__(
        self,
        directory: Directory,
        record: Record,
        devices: tuple[Device, ...],
        locks: list[int],
        claims: list[int],
        guard: int,
    ) -> None:
        self.directory = directory
        self.record = record
        self.devices = devices
        self.locks = locks
        self.claims = claims
        self.guard = guard
        self.port_base = 0
        # How its devices are asked about their health; None for those that need no asking.
        self.probe: Probe | None = None
        self._xids: Callable[[], Iterable[tuple[str, int]]] = tuple
        self._heard: list[tuple[str, int]] = []

    def take_ports(self) -> None:
        """Take a block of ports, held like the devices.

        :raises MachineError: none is free.
        """
        self.port_base, held = take_block(self.directory, int(self.record.id, 16))
        self.locks += held

    def listen(self) -> None:
        """Hear from now on what goes wrong with the devices; those that break are quarantined at the end.

        Call it in one process, and not before a fork: NVML does not outlive one.
        """
        if self.probe is not None:
            self._xids = self.probe.listen(self.record.devices)

    def seen(self) -> Seen:
        """What is to be seen of its devices once no process of the job is left; nothing without a probe."""
        if self.probe is None:
            return NOTHING_SEEN
        from trainci.lease.store.health import seen

        known = {uuid: forgiven(self.directory, uuid) for uuid in self.record.devices}
        try:
            return seen(self.probe, known, (xid for _, xid in self._hear()), time.sleep)
        except MachineError:
            # The driver as a whole: it is not known whose fault that is.
            return Seen(xid=tuple(xid for _, xid in self._heard))

    def _hear(self) -> list[tuple[str, int]]:
        """The Xid errors so far, each with its device."""
        self._heard += self._xids()
        return self._heard

    def hand_over(self) -> None:
        """Release everything and wake the next request. Call it when no process of the job is left.

        :raises OSError: a device that broke could not be quarantined; all the rest is done.
        :raises MachineError: the lock directory is gone, or others keep it; nothing is held any more.
        """
        try:
            self._quarantine_broken()
        finally:
            self._hand_over()

    def _quarantine_broken(self) -> None:
        if self.probe is None:
            return
        from trainci.lease.store.health import broken_by

        for uuid, reason in broken_by(self._hear()).items():
            quarantine(self.directory, uuid, reason, time.time())

    def _hand_over(self) -> None:
        with contextlib.ExitStack() as stack:
            # Whether or not the mutex can be had.
            stack.callback(self.detach)
            with Mutex(self.directory):
                self._let_go()
                self.directory.void.add(identity(self.guard))
                queue = waiting(self.directory) if self.devices else ()
                decision = run_cycle(self.directory, time.time(), queue) if queue else None
                if decision is not None:
                    publish(self.directory, decision)
                # A record that is gone tells the watcher that the next are known.
                self._remove_record()
            if decision is not None:
                wake(self.directory, decision)
            fcntl.flock(self.guard, fcntl.LOCK_UN)

    def release(self) -> None:
        """Give everything back, for which no space is needed; the caller holds the mutex and sees to the others."""
        self._remove_record()
        self._let_go()
        fcntl.flock(self.guard, fcntl.LOCK_UN)
        self.detach()

    def _let_go(self) -> None:
        for descriptor in self.locks:
            # Not by closing alone: the other process that watches over the job may be stopped, and has them open.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        self.give_claims_away()

    def _remove_record(self) -> None:
        remove_nested(self.directory, self.record.id)
        remove(self._path)

    def detach(self) -> None:
        """Close our descriptors only; what other processes of the job hold stays held, and stays recorded."""
        self.give_claims_away()
        while self.locks:
            os.close(self.locks.pop())
        if self.guard >= 0:
            os.close(self.guard)
            self.guard = -1

    def give_claims_away(self) -> None:
        """Close our claims only: who has inherited them holds them."""
        while self.claims:
            os.close(self.claims.pop())

    def is_released(self) -> bool:
        """Has somebody released it already, here or in the other process that watches over the job?"""
        return not os.path.lexists(self._path)

    @property
    def _path(self) -> str:
        return self.directory.join("leases", self.record.id)


class LockedError(Exception):
    """A device could not be taken. ``foreign`` is its id when something that has no lease of ours holds it."""

    def __init__(self, foreign: str = "") -> None:
        super().__init__(foreign)
        self.foreign = foreign


def acquire(
    directory: Directory, request: Request, devices: tuple[Device, ...], now: float, group: str = ""
) -> Lease:
    """Take these devices, all or none; the caller holds the mutex. ``group`` is the path of its job's own cgroup.

    :raises LockedError: one of them is held.
    """
    locks: list[int] = []
    claims: list[int] = []
    try:
        for device in devices:
            if _is_used(directory, device):
                raise LockedError(device.uuid)
            for path in lock_paths(directory, device, request.pattern):
                locks.append(_take_one(directory, device, path))
            claims.append(_claim(directory, device))
        ids = tuple(device.uuid for device in devices)
        until, expected = now + request.bound, now + request.expected
        record = Record(request.id, ids, request.name, request.uid, request.pid, now, until, group, expected)
        guard = _record(directory, record)
    except BaseException:
        for held in (*locks, *claims):
            os.close(held)
        raise
    return Lease(directory, record, devices, locks, claims, guard)


def _is_used(directory: Directory, device: Device) -> bool:
    """Is a GPU whose lock file is missing that of a job which still runs?

    Its files may have been removed, and its claim be that of a container's own network. As far as we see processes.
    """
    if directory.nested or not device.uuid.startswith(("GPU-", "MIG-")):
        return False
    path = directory.join("devices", f"{device.uuid}.lock")
    return not os.path.lexists(path) and bool(marked(DEVICES_VARIABLE, device.uuid, separator=","))


def _claim(directory: Directory, device: Device) -> int:
    descriptor = claim(directory, device.uuid)
    if descriptor is None:
        raise LockedError(device.uuid)
    return descriptor


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
    try:
        try_lock(guard)
        os.rename(unfinished, directory.join("leases", record.id))
    except BaseException:
        os.close(guard)
        remove(unfinished)
        raise
    return guard


def end_survivors(directory: Directory, id: str, grace: float) -> None:
    """End what is left of a job without a watcher; its record does not count once nothing is left of the job.

    Only processes of the record's owner are ended (all, where that is root): whose mark or cgroup a record names is
    up to whoever wrote it.
    """
    lease = find(directory, id)
    if lease is None or lease.watched or lease.file in directory.void:
        return
    group = cgroup.checked(lease.record.cgroup, id, lease.owner)

    def left() -> set[Process] | None:
        found = {*marked(LEASE_VARIABLE, id), *cgroup.members(group)}
        return {each for each in found if lease.owner in (0, owner(each.pid))} or None

    if end(left, grace) or not cgroup.end(group):
        return
    cgroup.remove(group)
    remove_nested(directory, id)
    if not remove(directory.join("leases", id)):
        directory.void.add(lease.file)
    ring_watcher(directory)
