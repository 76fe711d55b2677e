"""What ``trainci gpus`` shows: each device with who holds it or why it is not handed out, and who waits for what.

It only looks, and takes no part in the queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trainci.answers.gpus import DeviceStatus, Holder, Status, Usage, Waiting
from trainci.errors import MachineError
from trainci.host import devices as host_devices
from trainci.host.locks import lock_holder
from trainci.host.users import user_name
from trainci.lease.queue import policy
from trainci.lease.queue.cycle import foreign_devices, is_taken, read_reservations, reservation_of, unusable
from trainci.lease.queue.priority import in_turn
from trainci.lease.queue.tickets import Arrival, look
from trainci.lease.queue.why import why
from trainci.lease.store import health, ledger, marks, outside
from trainci.lease.store.directory import Directory, locate, open_directory
from trainci.lease.store.leases import running
from trainci.lease.store.records import FOREVER, Record, Request, Reservation
from trainci.model.device import Device

Ask = Callable[[Device], Usage]


def status(lock_dir: str | None, devices: Sequence[Device] = (), ask: Ask = lambda _: Usage()) -> Status:
    """The state of ``devices``, and of whatever else was ever leased in this lock directory.

    ``ask`` is asked for the use of each of ``devices``.

    :raises UsageError: the lock directory cannot be used.
    """
    usages = {device.uuid: ask(device) for device in devices if not device.fault}
    if not Path(locate(lock_dir)).is_dir():
        return Status(tuple(_unheld(device, usages.get(device.uuid, Usage())) for device in devices), ())
    directory = open_directory(lock_dir, may_be_private=True)
    known = {device.uuid: device for device in devices}
    look_at = _Look(directory, time.time(), usages)
    leased = [name.removesuffix(".lock") for name in directory.names("devices") if name.endswith(".lock")]
    for position, uuid in enumerate([*leased, *look_at.quarantined, *look_at.drained]):
        known.setdefault(uuid, _unknown(uuid, len(devices) + position))
    found = sorted(map(look_at.device, known.values()), key=lambda device: (device.index, device.uuid))
    return Status(tuple(found), tuple(look_at.waiting()))


def host_status(lock_dir: str | None) -> Status:
    """The same of every device of this host, with its use: the driver is opened once for all questions.

    :raises UsageError: the lock directory cannot be used.
    """
    with host_devices.session():
        return status(lock_dir, host_devices.discover(), _usage)


def _usage(device: Device) -> Usage:
    """What the driver says of a device now; nothing where it fails."""
    try:
        return Usage(
            host_devices.memory_used(device.uuid),
            device.memory_bytes or None,
            host_devices.utilization(device.uuid),
            host_devices.users(device.uuid),
        )
    except MachineError:
        return Usage()


def done_by_hand(lock_dir: str | None) -> list[ledger.Entry]:
    """What was done to the queue by hand, the newest last; nothing where nothing was ever leased.

    :raises UsageError: the lock directory cannot be used.
    """
    if not Path(locate(lock_dir)).is_dir():
        return []
    return ledger.entries(open_directory(lock_dir, may_be_private=True))


class _Look:
    """The lock directory as it is at ``now``."""

    def __init__(self, directory: Directory, now: float, usages: Mapping[str, Usage]) -> None:
        self._directory = directory
        self._now = now
        self._usages = usages
        self.quarantined = marks.quarantined(directory)
        self.drained = marks.drained(directory)
        self._in_use = outside.in_use(directory, now)
        self._unusable = unusable(directory, now)
        self._foreign = foreign_devices(directory)
        # Those that are watched over after those that are not: the last one counts.
        self._leases = [lease.record for lease in sorted(running(directory), key=lambda lease: lease.watched)]
        self._holders = {uuid: record for record in self._leases for uuid in record.devices}

    def device(self, device: Device) -> DeviceStatus:
        """How it stands with one device."""
        uuid = device.uuid
        of_driver = self._usages.get(uuid, Usage())
        basic = DeviceStatus(uuid, device.index, device.name, "free", usage=of_driver)
        ill, left = self.quarantined.get(uuid), self.drained.get(uuid)
        record = self._holders.get(uuid)
        if record is not None:
            state = "draining" if left or ill else "held"
            mark = ill or left
            by, reason = (mark.by, mark.reason) if mark else ("", "")
            return replace(
                basic, state=state, holder=self._holder(record), since=record.since, by=by, reason=reason
            )
        if is_taken(self._directory, device):
            reason = "locked by something that is no lease of trainci's"
            return replace(basic, state="foreign", reason=reason)
        if ill is not None:
            return replace(basic, state="quarantined", since=ill.since, by=ill.by, reason=ill.reason)
        if left is not None:
            return replace(basic, state="drained", since=left.since, by=left.by, reason=left.reason)
        return _unheld(device, of_driver, self._in_use.get(uuid, ""))

    def _holder(self, record: Record) -> Holder:
        return Holder(
            record.id,
            record.name,
            user_name(record.uid),
            record.pid,
            lock_holder(self._directory.join("leases", record.id)),
            record.since,
            _or_none(record.until),
            _or_none(record.expected),
        )

    def waiting(self) -> Iterator[Waiting]:
        """Who waits, in turn."""
        arrivals = look(self._directory)
        requests = in_turn([arrival.request for arrival in arrivals])
        tickets = {arrival.request.id: arrival for arrival in arrivals}
        promised = read_reservations(self._directory)
        likely = self._likely(requests)
        for ahead, request in enumerate(requests):
            yield self._waiting(tickets[request.id], ahead, reservation_of(request, promised), likely[request.id])

    def _waiting(self, arrival: Arrival, ahead: int, promise: Reservation, likely: Reservation) -> Waiting:
        request = arrival.request
        certain = len(request.devices) == request.count
        return Waiting(
            request.id,
            ahead + 1,
            request.name,
            user_name(request.uid),
            request.pid,
            lock_holder(self._directory.join("tickets", arrival.ticket)),
            request.priority,
            request.count,
            tuple(device.uuid for device in request.devices) if certain else (),
            request.since,
            _or_none(promise.start),
            _or_none(min(likely.start, promise.start)),
            why(request, promise, ahead, self._leases, self._foreign, self._unusable),
            all(device.uuid.startswith("cpu-") for device in request.devices),
        )

    def _likely(self, requests: Sequence[Request]) -> dict[str, Reservation]:
        """When each would start if all took as long as is expected of them."""
        busy = {
            uuid: min(record.until, max(record.expected, self._now)) if record.expected < FOREVER else record.until
            for record in self._leases
            for uuid in record.devices
        }
        busy |= dict.fromkeys(self._foreign, FOREVER)
        likely = [replace(request, bound=min(request.bound, request.expected)) for request in requests]
        return policy.plan(self._now, busy, self._unusable.keys(), likely, {})


def _unknown(uuid: str, position: int) -> Device:
    """A device that was leased here, and that the caller does not know of."""
    kind, _, number = uuid.partition("-")
    virtual = kind == "cpu" and number.isdecimal()
    index = int(number) if kind in ("cpu", "gpu") and number.isdecimal() else position
    return Device(index, uuid, "virtual CPU device" if virtual else "", virtual=virtual)


def _unheld(device: Device, of_driver: Usage, found: str = "") -> DeviceStatus:
    state, reason = "free", ""
    if device.fault:
        state, reason = "unusable", device.fault
    elif said := _outside(of_driver, found):
        state, reason = "busy outside the queue", said
    return DeviceStatus(device.uuid, device.index, device.name, state, reason=reason, usage=of_driver)


def _outside(of_driver: Usage, found: str) -> str:
    """How it is used outside the queue, as the driver says now, else as somebody ``found`` a moment ago."""
    if of_driver.memory_used is None:
        return found
    if of_driver.memory_used <= health.IDLE_BYTES:
        return ""
    return health.in_use(of_driver.memory_used, of_driver.processes)


def _or_none(at: float) -> float | None:
    return None if at == FOREVER else at
