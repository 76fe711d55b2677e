"""What the files of the lock directory say, each as one JSON object: a request, a lease, the reservations.

Other users write them too: a file that is not whole, or not what it should be, is read as nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainci.model.device import Device
from trainci.text import printable

FOREVER = float("inf")
# The year 4147.
_END_OF_TIME = 1 << 36
# What comes of reading a field that is not there, or not what it should be.
BROKEN = (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Request:
    """What a user asks for: ``count`` of ``devices``, for at most ``bound`` seconds (FOREVER: not said).

    ``pattern`` is that of the foreign lock files that must be taken too, empty for none. ``since`` is when it
    arrived, ``name`` and ``uid`` and ``pid`` say whose it is; ``priority`` is one of those of ``queue.priority``.
    ``expected`` is how many seconds it is likely to take (FOREVER: not known).
    """

    id: str
    count: int
    devices: tuple[Device, ...]
    bound: float = FOREVER
    pattern: str = ""
    name: str = ""
    uid: int = 0
    pid: int = 0
    since: float = 0.0
    priority: str = "normal"
    expected: float = FOREVER

    def dump(self) -> str:
        """The text of its ticket."""
        devices = [device_fields(device) for device in self.devices]
        times = {"bound": _or_null(self.bound), "expected": _or_null(self.expected)}
        return json.dumps({**vars(self), **times, "devices": devices})


def load_request(text: str | None) -> Request | None:
    """The request that a ticket holds; None for no text, or one that is not whole."""
    try:
        fields = json.loads(text or "")
        request = Request(
            _id(fields["id"]),
            int(fields["count"]),
            tuple(map(load_device, fields["devices"])),
            _time(fields["bound"]),
            _text(fields["pattern"]),
            printable(_text(fields["name"])),
            int(fields["uid"]),
            int(fields["pid"]),
            moment(fields["since"]),
            _text(fields.get("priority", "normal")),
            _time(fields.get("expected")),
        )
    except BROKEN:
        return None
    return request if request.count >= 0 else None


@dataclass(frozen=True)
class Record:
    """A running lease: whose it is, since when, and until when at the latest (FOREVER: not said).

    ``cgroup`` is the path of its job's own cgroup, empty where it has none. ``expected`` is when it is likely to
    end (FOREVER: not known).
    """

    id: str
    devices: tuple[str, ...]
    name: str
    uid: int
    pid: int
    since: float
    until: float
    cgroup: str = ""
    expected: float = FOREVER

    def dump(self) -> str:
        """The text of its file."""
        return json.dumps({**vars(self), "until": _or_null(self.until), "expected": _or_null(self.expected)})


def load_record(text: str | None) -> Record | None:
    """The lease that a file describes; None for no text, or one that is not whole."""
    try:
        fields = json.loads(text or "")
        return Record(
            _id(fields["id"]),
            tuple(map(_text, fields["devices"])),
            printable(_text(fields["name"])),
            int(fields["uid"]),
            int(fields["pid"]),
            moment(fields["since"]),
            _time(fields["until"]),
            _text(fields["cgroup"]),
            _time(fields.get("expected")),
        )
    except BROKEN:
        return None


@dataclass(frozen=True)
class Reservation:
    """What a waiting request can count on: it starts at ``start`` at the latest (FOREVER: unknown), on ``devices``.

    ``granted_at`` is when it was told that the devices are its, None while it waits; ``stalled``: it was told and
    did not come for them.
    """

    start: float = FOREVER
    devices: tuple[str, ...] = ()
    granted_at: float | None = None
    stalled: bool = False


def dump_reservations(reservations: Mapping[str, Reservation]) -> str:
    """The text of all reservations, which are given by their requests' ids."""
    return json.dumps({id: {**vars(found), "start": _or_null(found.start)} for id, found in reservations.items()})


def load_reservations(text: str | None) -> dict[str, Reservation]:
    """The reservations by request. One that is not whole is left out: the next cycle makes a new one."""
    try:
        entries = json.loads(text or "").items()
    except BROKEN:
        return {}
    found = {}
    for id, fields in entries:
        try:
            granted_at = fields["granted_at"]
            found[id] = Reservation(
                _time(fields["start"]),
                tuple(map(_text, fields["devices"])),
                None if granted_at is None else moment(granted_at),
                fields["stalled"] is True,
            )
        except BROKEN:
            continue
    return found


def device_fields(device: Device) -> dict[str, Any]:
    """What is kept of a device: what identifies it, and what it is near to."""
    return {"index": device.index, "uuid": device.uuid, "numa": device.numa, "group": device.group}


def load_device(fields: Mapping[str, Any]) -> Device:
    """The device that ``device_fields`` gave. Anything else raises one of BROKEN."""
    uuid = _text(fields["uuid"])
    if "/" in uuid:
        # It becomes a file's name.
        raise ValueError(uuid)
    return Device(int(fields["index"]), uuid, numa=int(fields["numa"]), group=int(fields["group"]))


def _id(value: object) -> str:
    text = _text(value)
    if not (text.isascii() and text.isalnum()):
        # It becomes a file's name, and is looked for in the environment of processes.
        raise ValueError(text)
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _or_null(time: float) -> float | None:
    """JSON knows no infinity."""
    return None if time == FOREVER else time


def _time(value: Any) -> float:
    return FOREVER if value is None or float(value) >= _END_OF_TIME else moment(value)


def moment(value: Any) -> float:
    """A Unix time, or a number of seconds, that every clock can tell. Anything else raises one of BROKEN."""
    at = float(value)
    if not 0 <= at < _END_OF_TIME:
        # NaN, too, which is not in any order.
        raise ValueError(value)
    return at
