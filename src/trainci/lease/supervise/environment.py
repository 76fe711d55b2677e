"""What a job is told by environment variables. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from trainci.errors import UsageError
from trainci.host.visible import with_devices
from trainci.lease.protocol import (
    DEVICES_VARIABLE,
    LEASE_VARIABLE,
    LOCK_DIR_VARIABLE,
    PORT_BASE_VARIABLE,
    PORT_COUNT_VARIABLE,
)
from trainci.lease.queue.hold import Lease
from trainci.lease.store.ports import BLOCK
from trainci.model.device import Device


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
    lease: Lease, variable: str, by_uuid: bool, hidden: bool, parent: Mapping[str, str]
) -> dict[str, str]:
    """The environment of a job: that of ``parent`` with its devices and ports.

    It knows the lock directory, so that a lease within it finds the one that it is in. ``variable`` is the name of
    the device variable; ``by_uuid`` writes UUIDs into it instead of numbers, ``hidden`` nothing: no GPU is seen.
    """
    outer = parent.get(LEASE_VARIABLE)
    names = [device.uuid if by_uuid else str(device.index) for device in lease.devices]
    return {
        **with_devices(variable, "" if hidden else ",".join(names), parent),
        LEASE_VARIABLE: f"{outer}/{lease.record.id}" if outer else lease.record.id,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        LOCK_DIR_VARIABLE: lease.directory.path,
        DEVICES_VARIABLE: ",".join(device.uuid for device in lease.devices),
        PORT_BASE_VARIABLE: str(lease.port_base),
        PORT_COUNT_VARIABLE: str(BLOCK),
        "MASTER_PORT": str(lease.port_base),
        # torchrun reads its options from such names (torch.distributed.argparse_util), and not MASTER_PORT.
        "PET_MASTER_PORT": str(lease.port_base),
    }
