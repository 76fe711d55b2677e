"""What a job is told by environment variables, and what an inherited device variable leaves us. Pure."""

from __future__ import annotations

from trainci.errors import UsageError
from trainci.lease.protocol import (
    DEVICES_VARIABLE,
    LEASE_VARIABLE,
    PORT_BASE_VARIABLE,
    PORT_COUNT_VARIABLE,
)
from trainci.lease.queue.hold import Lease
from trainci.lease.store.ports import BLOCK
from trainci.model import Device


def inherited(devices: tuple[Device, ...], value: str | None) -> tuple[Device, ...]:
    """The devices that an inherited ``CUDA_VISIBLE_DEVICES`` leaves; all when there is none.

    Entries are indices, UUIDs, beginnings of UUIDs, or names of MIG instances; CUDA ignores everything after the
    first entry that it does not know (CUDA C++ Programming Guide, "CUDA Environment Variables").

    :raises UsageError: a MIG instance by its old name, under which it would be another device than by its UUID.
    """
    if value is None:
        return devices
    left: list[Device] = []
    for entry in value.split(","):
        device = _named(devices, entry.strip())
        if device is None:
            break
        if device not in left:
            left.append(device)
    return tuple(left)


def _named(devices: tuple[Device, ...], entry: str) -> Device | None:
    if entry.isdecimal():
        hits = [device for device in devices if device.index == int(entry)]
    else:
        hits = [device for device in devices if entry and device.uuid.startswith(entry)]
    if len(hits) == 1:
        return hits[0]
    if hits or not entry.startswith("MIG-"):
        return None
    if "/" in entry:
        raise UsageError(
            f"the inherited device variable names {entry!a} in the way of drivers before R470: write its UUID, as "
            "`nvidia-smi -L` shows it."
        )
    # A MIG instance that NVML does not list by itself is a device of its own all the same.
    return Device(-1, entry) if entry.replace("-", "").isalnum() else None


def pick(devices: tuple[Device, ...], names: str) -> tuple[Device, ...]:
    """The devices that a list such as ``0,3`` or ``GPU-8a56…,GPU-1c5b…`` names, in its order.

    :raises UsageError: one of them is not among ``devices``, or the list is empty.
    """
    chosen: list[Device] = []
    for name in names.split(","):
        text = name.strip()
        hits = [device for device in devices if text in (device.uuid, str(device.index))]
        if not hits:
            there = ",".join(str(device.index) for device in devices) or "none"
            raise UsageError(f"device {text!r} is not one of those that can be used here ({there}).")
        if hits[0] not in chosen:
            chosen.append(hits[0])
    return tuple(chosen)


def job_variables(
    lease: Lease, variable: str, by_uuid: bool, hidden: bool, parent: dict[str, str]
) -> dict[str, str]:
    """The environment of a job: that of ``parent`` with its devices and ports.

    ``variable`` is the device variable's name; ``by_uuid`` writes UUIDs into it instead of numbers, ``hidden``
    nothing, so that no GPU is seen.
    """
    outer = parent.get(LEASE_VARIABLE)
    names = [device.uuid if by_uuid or device.index < 0 else str(device.index) for device in lease.devices]
    return {
        **parent,
        LEASE_VARIABLE: f"{outer}/{lease.record.id}" if outer else lease.record.id,
        variable: "" if hidden else ",".join(names),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        DEVICES_VARIABLE: ",".join(device.uuid for device in lease.devices),
        PORT_BASE_VARIABLE: str(lease.port_base),
        PORT_COUNT_VARIABLE: str(BLOCK),
        "MASTER_PORT": str(lease.port_base),
    }
