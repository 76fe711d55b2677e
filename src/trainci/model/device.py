"""The accelerators of a host, and the pool of them that a run may use."""

from __future__ import annotations

from dataclasses import dataclass


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
    """The devices that a run may use, and what to call them."""

    devices: tuple[Device, ...]
    virtual: bool

    @property
    def sentence(self) -> str:
        """``8 × NVIDIA H100``, ``8 virtual devices, no GPU`` or ``no GPU``."""
        if self.virtual:
            return f"{len(self.devices)} virtual devices, no GPU"
        names = sorted({device.name for device in self.devices})
        return f"{len(self.devices)} × {', '.join(names)}" if self.devices else "no GPU"
