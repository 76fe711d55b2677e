"""The GPUs that this process could use. Asking NVML costs a tenth of a second, so its answer is kept.

The answer holds for one boot, one driver and one view of the devices: a container may see only some of them, under
other numbers.
"""

from __future__ import annotations

import os

from trainci.errors import MachineError
from trainci.host.files import read_text
from trainci.lease.store.directory import Directory
from trainci.lease.store.records import Place

_DRIVER = "/proc/driver/nvidia/version"


def virtual(count: int) -> tuple[Place, ...]:
    """Virtual CPU devices, which stand in for GPUs on a host with none."""
    return tuple(Place(f"cpu-{index}", index) for index in range(count))


def gpus(directory: Directory, total: int | None) -> tuple[Place, ...]:
    """The host's GPUs, in PCI bus order; at most the first ``total`` where that is given.

    Where there is no driver to ask, ``total`` is believed: GPUs are then known by their number only.

    :raises MachineError: there are none, or NVML fails.
    """
    places = _kept(directory)
    if not places and total is None:
        raise MachineError(
            "no NVIDIA GPU was found on this host: pass --total-gpus N to lease GPUs by number all the same, or "
            "--virtual N for virtual CPU devices."
        )
    if not places:
        return tuple(Place(f"gpu-{index}", index) for index in range(total or 0))
    return places if total is None else places[:total]


def _kept(directory: Directory) -> tuple[Place, ...]:
    driver = read_text(_DRIVER)
    if driver is None:
        return _asked()
    key = _key(driver)
    path = directory.join("inventory", f"{_checksum(key):08x}")
    header, _, lines = (read_text(path) or "").partition("\n")
    if header == key and lines:
        try:
            return tuple(_load(line) for line in lines.splitlines())
        except ValueError:
            pass
    places = _asked()
    if any(place.uuid.startswith("unreachable-") for place in places):
        return places  # not kept, since it may come back before the next boot
    directory.replace(path, "\n".join([key, *map(_dump, places)]) + "\n")
    return places


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


def _checksum(text: str) -> int:
    from binascii import crc32

    return crc32(text.encode())


def _asked() -> tuple[Place, ...]:
    from trainci.host import devices

    found = devices.discover()
    groups = {device.uuid: device.index for device in found}
    for first, second, _ in devices.topology() if len(found) > 1 else ():
        if first in groups and second in groups:
            joined, other = sorted((groups[first], groups[second]))
            groups = {uuid: joined if group == other else group for uuid, group in groups.items()}
    return tuple(
        Place(device.uuid, device.index, devices.numa_node(device.uuid), groups[device.uuid]) for device in found
    )


def _dump(place: Place) -> str:
    return f"{place.uuid} {place.index} {place.numa} {place.group}"


def _load(line: str) -> Place:
    uuid, index, numa, group = line.split()
    return Place(uuid, int(index), int(numa), int(group))
