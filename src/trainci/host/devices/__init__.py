"""The host's accelerators, one file a vendor, or virtual CPU devices."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from trainci.errors import MachineError, UsageError
from trainci.host.devices import nvidia
from trainci.host.devices.vendor import Heard, Vendor
from trainci.host.virtual import virtual_devices
from trainci.host.visible import inherited, visible
from trainci.model.device import MOST_DEVICES, Device, Pool
from trainci.text import printable

VENDORS: dict[str, Vendor] = {
    "nvidia": nvidia,
}


def pool(spec: str) -> Pool:
    """The devices that ``--devices SPEC`` means: ``auto``, ``cpu:N``, or indices such as ``0,1``.

    :raises UsageError: the specification is malformed or names a device that does not exist, or one that an
        inherited device variable hides.
    :raises MachineError: a driver is there and fails, or a device that is named cannot be used.
    """
    if spec == "auto":
        return Pool(tuple(device for device in _inherited() if not device.fault), virtual=False)
    kind, _, count = spec.partition(":")
    if kind == "cpu" and count.isdecimal() and 0 < int(count) <= MOST_DEVICES:
        return Pool(virtual_devices(int(count)), virtual=True)
    wanted = spec.split(",")
    if not all(part.isdecimal() for part in wanted):
        raise UsageError(
            f"--devices {printable(spec)}: write auto, cpu:N (N virtual devices, up to {MOST_DEVICES}), "
            "or indices such as 0,1."
        )
    seen = {device.index: device for device in _inherited()}
    missing = [part for part in wanted if int(part) not in seen]
    if missing:
        has = ", ".join(str(index) for index in seen) or "none"
        raise UsageError(
            f"--devices {printable(spec)}: no device {', '.join(missing)} here; this host has: {has}{_hidden()}."
        )
    chosen = tuple(seen[index] for index in sorted({int(part) for part in wanted}))
    for device in chosen:
        if device.fault:
            raise MachineError(f"--devices {spec}: device {device.index} cannot be used: {device.fault}.")
    return Pool(chosen, virtual=False)


def discover() -> tuple[Device, ...]:
    """Every accelerator of the host, whatever an inherited device variable says; empty where there is no driver.

    :raises MachineError: a driver is there and fails.
    """
    return tuple(device for vendor in VENDORS.values() for device in vendor.discover())


def load() -> None:
    """Load what the questions below need, which takes longer than their answers; nothing is opened."""
    for vendor in VENDORS.values():
        vendor.load()


@contextmanager
def session() -> Iterator[None]:
    """Questions that are asked within it share one opening of the driver, which else takes each 10 ms and more.

    :raises MachineError: the driver fails.
    """
    with ExitStack() as stack:
        for vendor in VENDORS.values():
            stack.enter_context(vendor.session())
        yield


def memory_used(uuid: str) -> int:
    """Bytes of the device's memory that are in use, by whatever process; 0 where it is the host's, not its own.

    :raises MachineError: the driver fails or does not know the device.
    """
    return _vendor(uuid).memory_used(uuid)


def users(uuid: str) -> tuple[int, ...]:
    """The ids of the processes that compute on the device, as far as they can be seen from here.

    :raises MachineError: the driver fails or does not know the device.
    """
    return _vendor(uuid).users(uuid)


def utilization(uuid: str) -> int | None:
    """How many percent of the time something computed on the device just now; None where that is not known.

    :raises MachineError: the driver fails or does not know the device.
    """
    return _vendor(uuid).utilization(uuid)


def faults(uuid: str) -> str:
    """Why the device should not be used, in a sentence; empty for a sound one.

    :raises MachineError: the driver as a whole fails.
    """
    return _vendor(uuid).faults(uuid)


def listen(uuids: Sequence[str]) -> Heard:
    """Hear the errors of these devices from now on, until this process ends (see ``Heard``)."""
    heard = [
        vendor.listen(own) for vendor in VENDORS.values() if (own := [uuid for uuid in uuids if vendor.knows(uuid)])
    ]
    return lambda: tuple(error for hear in heard for error in hear())


def topology() -> tuple[tuple[str, str, int], ...]:
    """Pairs of devices that a fast link joins, directly or through switches; the number is 1 for each pair."""
    return tuple(pair for vendor in VENDORS.values() for pair in vendor.topology())


def numa_node(uuid: str) -> int:
    """The NUMA node that the device hangs on, -1 where the kernel does not say."""
    return _vendor(uuid).numa_node(uuid)


def _vendor(uuid: str) -> Vendor:
    for vendor in VENDORS.values():
        if vendor.knows(uuid):
            return vendor
    raise MachineError(f"{printable(uuid)} is a device of no vendor that is known here ({', '.join(VENDORS)}).")


def _inherited() -> tuple[Device, ...]:
    return tuple(
        device
        for vendor in VENDORS.values()
        for device in visible(vendor.discover(), inherited(vendor.VARIABLE, os.environ), vendor.VARIABLE)
    )


def _hidden() -> str:
    names = [vendor.VARIABLE for vendor in VENDORS.values() if vendor.VARIABLE in os.environ]
    return "".join(f", as far as {name}={os.environ[name]!a} shows it" for name in names)
