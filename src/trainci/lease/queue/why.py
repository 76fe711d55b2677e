"""Why a request waits, and for whom: in words for people."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from trainci.host.users import user_name
from trainci.lease.store.records import FOREVER, Record, Request, Reservation
from trainci.model.device import Device
from trainci.text import counted


def why(
    request: Request,
    reservation: Reservation,
    ahead: int,
    leases: Iterable[Record],
    foreign: Iterable[str],
    unusable: Mapping[str, str],
) -> str:
    """``GPU 2, 3: held by tests/test_moe.py (user ci) since 16:40, at most until 17:03``, and so on.

    ``leases`` are those that run, ``foreign`` the devices that are locked by something else, ``unusable`` those
    that cannot be had now, each with the reason.
    """
    holders = {uuid: _holder(record) for record in leases for uuid in record.devices}
    holders |= {
        uuid: "locked by something that is no lease of trainci's" for uuid in foreign if uuid not in holders
    }
    holders = {**unusable, **holders}
    wanted = request.devices
    if len(wanted) > request.count and reservation.devices:
        wanted = tuple(device for device in wanted if device.uuid in reservation.devices)
    groups: dict[str, list[Device]] = {}
    for device in wanted:
        if device.uuid in holders:
            groups.setdefault(holders[device.uuid], []).append(device)
    parts = [f"{named(devices)}: {said}" for said, devices in groups.items()]
    if not parts and ahead:
        parts = [f"{counted(ahead, 'request')} before it"]
    return "; ".join(parts)


def named(devices: Sequence[Device]) -> str:
    """``GPU 2, 3``."""
    kind = "device" if any(device.uuid.startswith("cpu-") for device in devices) else "GPU"
    return f"{kind} {', '.join(str(device.index) for device in devices)}"


def _holder(record: Record) -> str:
    until = "" if record.until == FOREVER else f", at most until {clock(record.until)}"
    return f"held by {record.name} (user {user_name(record.uid)}) since {clock(record.since)}{until}"


def clock(at: float) -> str:
    """``16:40``, with the day where that is another than today's."""
    then, now = time.localtime(at), time.localtime()
    return time.strftime("%H:%M" if then[:3] == now[:3] else "%Y-%m-%d %H:%M", then)
