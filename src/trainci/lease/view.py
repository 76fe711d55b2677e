"""What ``trainci gpus`` shows: who holds each device since when, who waits, and what is quarantined.

It only looks, and takes no part in the queue.
"""

from __future__ import annotations

import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainci.lease.queue.cycle import is_taken, read_reservations, reservation_of, ring_watcher
from trainci.lease.queue.tickets import look
from trainci.lease.store import health
from trainci.lease.store.directory import Directory, locate, open_directory
from trainci.lease.store.leases import running
from trainci.lease.store.records import FOREVER, Record, Request, Reservation
from trainci.model.device import Device


@dataclass(frozen=True)
class DeviceStatus:
    """One device.

    ``state`` is ``free``, ``held``, ``foreign`` (locked by something that is no lease of ours), ``quarantined`` or
    ``unusable``. Times are Unix timestamps; ``until`` is when it is free at the latest, None when nobody said.
    """

    uuid: str
    index: int
    name: str
    state: str
    holder: str = ""
    pid: int = 0
    user: str = ""
    since: float | None = None
    until: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Waiting:
    """A request in the queue. ``expected_start`` is None when nobody can know.

    ``devices`` are ids where it asked for certain ones.
    """

    name: str
    user: str
    pid: int
    count: int
    devices: tuple[str, ...]
    since: float
    expected_start: float | None


@dataclass(frozen=True)
class Status:
    """The devices by index, and the requests in order of arrival."""

    devices: tuple[DeviceStatus, ...]
    waiting: tuple[Waiting, ...]


def status(lock_dir: str | None, devices: Sequence[Device] = ()) -> Status:
    """The state of ``devices``, and of whatever else was ever leased in this lock directory.

    :raises UsageError: the lock directory cannot be used.
    """
    if not Path(locate(lock_dir)).is_dir():
        return Status(tuple(map(_unheld, devices)), ())
    directory = open_directory(lock_dir, may_be_private=True)
    known = {device.uuid: device for device in devices}
    leased = [name.removesuffix(".lock") for name in directory.names("devices") if name.endswith(".lock")]
    quarantined = health.quarantined(directory)
    for position, uuid in enumerate([*leased, *quarantined]):
        known.setdefault(uuid, _unknown(uuid, len(devices) + position))
    holders = _holders(directory)
    found = (_device(directory, device, quarantined.get(device.uuid), holders) for device in known.values())
    return Status(tuple(sorted(found, key=lambda device: (device.index, device.uuid))), _waiting(directory))


def release(uuid: str, lock_dir: str | None) -> bool:
    """Clear a quarantine, and let the queue know; False when there was none.

    :raises UsageError: the lock directory cannot be used.
    """
    directory = open_directory(lock_dir)
    cleared = health.release(directory, uuid)
    ring_watcher(directory)
    return cleared


def _unknown(uuid: str, position: int) -> Device:
    """A device that was leased here, and that the caller does not know of."""
    kind, _, number = uuid.partition("-")
    virtual = kind == "cpu" and number.isdecimal()
    index = int(number) if kind in ("cpu", "gpu") and number.isdecimal() else position
    return Device(index, uuid, "virtual CPU device" if virtual else "", virtual=virtual)


def _holders(directory: Directory) -> dict[str, Record]:
    """The lease that holds each device, those that are watched over before those that are not."""
    leases = sorted(running(directory), key=lambda lease: lease.watched)
    return {uuid: lease.record for lease in leases for uuid in lease.record.devices}


def _device(
    directory: Directory, device: Device, bad: health.Quarantine | None, holders: Mapping[str, Record]
) -> DeviceStatus:
    basic = (device.uuid, device.index, device.name)
    record = holders.get(device.uuid)
    if record is not None:
        until = None if record.until == FOREVER else record.until
        reason = bad.reason if bad else ""
        return DeviceStatus(*basic, "held", record.name, record.pid, _user(record.uid), record.since, until, reason)
    if is_taken(directory, device):
        return DeviceStatus(*basic, "foreign")
    if bad is not None:
        return DeviceStatus(*basic, "quarantined", since=bad.since, reason=bad.reason)
    return _unheld(device)


def _unheld(device: Device) -> DeviceStatus:
    state = "unusable" if device.fault else "free"
    return DeviceStatus(device.uuid, device.index, device.name, state, reason=device.fault)


def _waiting(directory: Directory) -> tuple[Waiting, ...]:
    reservations = read_reservations(directory)
    requests = [arrival.request for arrival in look(directory)]
    return tuple(_line(request, reservation_of(request, reservations)) for request in requests)


def _line(request: Request, reservation: Reservation) -> Waiting:
    certain = len(request.devices) == request.count
    named = tuple(device.uuid for device in request.devices) if certain else ()
    start = None if reservation.start == FOREVER else reservation.start
    return Waiting(request.name, _user(request.uid), request.pid, request.count, named, request.since, start)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
