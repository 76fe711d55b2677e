"""Is a device fit to be handed over? A ledger of those that are not, and the gate that each must pass.

The ledger is a file for each quarantined device, so it outlives every process; ``trainci gpus --release`` removes
it. What is looked at is the memory in use, not process ids: inside a container those are the host's.
"""

from __future__ import annotations

import time

from trainci.lease.directory import Directory, read_text, remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# A driver keeps some memory of an idle GPU for itself (up to about 600 MiB was seen with persistence mode and MPS).
IDLE_BYTES = 1 << 30
# The memory of a killed CUDA job returns within a second or two.
IDLE_WITHIN_S = 15.0
_LOOK_AGAIN_S = 0.05


class Quarantine:
    """Why a device is not handed out, and since when (Unix time)."""

    __slots__ = ("reason", "since", "uuid")

    def __init__(self, uuid: str, reason: str, since: float) -> None:
        self.uuid = uuid
        self.reason = reason
        self.since = since


def quarantine(directory: Directory, uuid: str, reason: str, now: float) -> None:
    """Keep a device from being handed out until somebody releases it."""
    directory.replace(directory.join("health", uuid), f"{now} {reason}\n")


def quarantined(directory: Directory) -> dict[str, Quarantine]:
    """The quarantined devices, by id."""
    found = {}
    for uuid in directory.names("health"):
        since, _, reason = (read_text(directory.join("health", uuid)) or "").strip().partition(" ")
        if reason:
            found[uuid] = Quarantine(uuid, reason, float(since))
    return found


def release(directory: Directory, uuid: str) -> bool:
    """Clear a quarantine; False when there was none."""
    there = read_text(directory.join("health", uuid)) is not None
    remove(directory.join("health", uuid))
    return there


class Probe:
    """How a device is asked about itself: bytes of memory in use, and a sentence about faults or nothing."""

    def __init__(self, memory_used: Callable[[str], int], faults: Callable[[str], str]) -> None:
        self.memory_used = memory_used
        self.faults = faults


def nvml_probe() -> Probe:
    """Ask NVML."""
    from trainci import devices

    return Probe(devices.memory_used, devices.faults)


def unfit(probe: Probe, uuid: str, pause: Callable[[float], None], within: float = IDLE_WITHIN_S) -> str:
    """Why this device cannot be handed over, in one sentence; empty when it can.

    Memory that is still in use may take ``within`` seconds to return; between two looks ``pause`` is called with
    seconds.
    """
    fault = probe.faults(uuid)
    if fault:
        return fault
    until = time.monotonic() + within
    while True:
        used = probe.memory_used(uuid)
        if used <= IDLE_BYTES:
            return ""
        if time.monotonic() >= until:
            return f"{used >> 20} MiB were still in use {within:g} s after the last job had ended"
        # NVML has no event for memory that returns; this loop runs only for a device that is dirty now.
        pause(_LOOK_AGAIN_S)
