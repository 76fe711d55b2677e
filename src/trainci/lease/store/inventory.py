"""The GPUs that this process could use. Asking NVML costs a tenth of a second, so its answer is kept.

The answer holds for one boot, one driver and one view of the devices: a container may see only some of them, under
other numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
from binascii import crc32
from dataclasses import replace

from trainci.errors import MachineError
from trainci.host import devices as nvml
from trainci.host.files import read_text
from trainci.lease.store.directory import OWN, Directory
from trainci.lease.store.files import open_regular, read
from trainci.lease.store.records import BROKEN, device_fields, load_device
from trainci.lease.store.trust import is_trusted
from trainci.model.device import UNREACHABLE, Device

_DRIVER = "/proc/driver/nvidia/version"


def gpus(directory: Directory, total: int | None) -> tuple[Device, ...]:
    """The host's GPUs, in PCI bus order; at most the first ``total`` where that is given.

    Where there is no driver to ask, ``total`` is believed: GPUs are then known by their number only.

    :raises MachineError: there are none, or NVML fails.
    """
    found = _kept(directory)
    if not found and total is None:
        raise MachineError(
            "no NVIDIA GPU was found on this host: pass --total-gpus N to lease GPUs by number all the same, or "
            "--virtual N for virtual CPU devices."
        )
    if not found:
        return tuple(Device(index, f"gpu-{index}") for index in range(total or 0))
    return found if total is None else found[:total]


def _kept(directory: Directory) -> tuple[Device, ...]:
    driver = read_text(_DRIVER)
    if driver is None:
        return _asked()
    key = _key(driver)
    path = directory.join("inventory", f"{crc32(key.encode()):08x}")
    kept = _load(_read_trusted(path), key)
    if kept:
        return kept
    found = _asked()
    # One that cannot be reached may come back before the next boot.
    if not any(device.uuid.startswith(UNREACHABLE) for device in found):
        # It saves time only: where it cannot be written, NVML is asked again.
        with contextlib.suppress(OSError, MachineError):
            directory.write(path, json.dumps({"key": key, "devices": [*map(device_fields, found)]}), OWN)
    return found


def _read_trusted(path: str) -> str | None:
    """The text of a file that no stranger made: it says which GPU has which number."""
    try:
        descriptor = open_regular(path)
    except OSError:
        return None
    try:
        return read(descriptor) if is_trusted(os.fstat(descriptor), 0) else None
    finally:
        os.close(descriptor)


def _load(text: str | None, key: str) -> tuple[Device, ...]:
    """The answer that was kept under this key; none where it is another's, or not whole."""
    try:
        fields = json.loads(text or "")
        return tuple(map(load_device, fields["devices"])) if fields["key"] == key else ()
    except BROKEN:
        return ()


def _key(driver: str) -> str:
    """Changes with the boot, the driver, the devices that are visible here, and their MIG instances."""
    nodes = sorted(name for name in os.listdir("/dev") if name.startswith("nvidia"))
    instances = [
        f"{card}/{name}"
        for card in _names("/proc/driver/nvidia/capabilities")
        for name in _names(f"/proc/driver/nvidia/capabilities/{card}/mig")
    ]
    boot = (read_text("/proc/sys/kernel/random/boot_id") or "").strip()
    return " ".join([boot, *driver.split(), *nodes, *instances])


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _asked() -> tuple[Device, ...]:
    with nvml.session():
        found = nvml.discover()
        groups = {device.uuid: device.index for device in found}
        for first, second, _ in nvml.topology() if len(found) > 1 else ():
            if first in groups and second in groups:
                joined, other = sorted((groups[first], groups[second]))
                groups = {uuid: joined if group == other else group for uuid, group in groups.items()}
        return tuple(
            replace(device, numa=nvml.numa_node(device.uuid), group=groups[device.uuid]) for device in found
        )
