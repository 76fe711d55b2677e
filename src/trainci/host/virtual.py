"""Virtual CPU devices, which stand in for accelerators on a host with none."""

from __future__ import annotations

from trainci.model.device import Device


def virtual_devices(count: int) -> tuple[Device, ...]:
    """``count`` stand-ins for accelerators."""
    return tuple(Device(index, f"cpu-{index}", "virtual CPU device", virtual=True) for index in range(count))
