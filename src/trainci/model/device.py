"""The accelerators of a host, and the pool of them that a run may use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trainci.text import counted

UNREACHABLE = "unreachable-"
"""How the name of a device begins that its driver cannot reach; its position follows."""

MOST_DEVICES = 120
"""No host has more. The locks of a lease, two for each device, must fit into one message (253, unix(7))."""


@dataclass(frozen=True)
class Device:
    """One accelerator of this host, or one virtual CPU device.

    ``uuid`` is stable across reboots and containers (NVML's for a GPU, ``cpu-0`` for a virtual device);
    ``index`` is the position in PCI bus order. ``memory_bytes`` is 0 for a virtual device, and where the driver
    cannot tell. ``fault`` is a sentence that says why it cannot be used, empty for one that can. ``numa`` is its
    NUMA node, ``group`` the least index among the devices that fast links join it to; -1 where that is not known.
    """

    index: int
    uuid: str
    name: str = ""
    memory_bytes: int = 0
    virtual: bool = False
    fault: str = ""
    numa: int = -1
    group: int = -1


@dataclass(frozen=True)
class Pool:
    """The devices that a run may use, and what to call them: spread evenly over ``nodes``, if there are several.

    Of an ``engine`` (its name) they are those of each node, of which a test may have ``nodes``.
    """

    devices: tuple[Device, ...]
    virtual: bool
    nodes: int = 1
    engine: str = ""

    @property
    def node_size(self) -> int:
        """How many of them one node has."""
        return len(self.devices) if self.engine else len(self.devices) // self.nodes

    def kind_of(self, ids: Iterable[str]) -> str:
        """What devices with these ids are called, empty for none; one that is not seen here goes by its engine."""
        names = {device.uuid: device.name for device in self.devices}
        return ", ".join(sorted({names.get(one, self.engine) for one in ids}))

    @property
    def sentence(self) -> str:
        """``8 × NVIDIA H100``, ``8 virtual devices, no GPU`` or ``no GPU``."""
        if self.engine:
            what = "virtual devices, no GPU," if self.virtual else "GPUs"
            return f"{len(self.devices)} {what} on each node of {self.engine}"
        if self.virtual and self.nodes > 1:
            return f"{self.node_size} virtual devices on each of {self.nodes} virtual nodes of one host, no GPU"
        if self.virtual:
            return f"{counted(len(self.devices), 'virtual device')}, no GPU"
        names = sorted({device.name for device in self.devices})
        return f"{len(self.devices)} × {', '.join(names)}" if self.devices else "no GPU"
