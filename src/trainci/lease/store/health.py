"""Is a device fit to be handed over? A ledger of those that are not, and the gate that each must pass.

The ledger is a file for each quarantined device, so it outlives every process; ``trainci gpus --release`` removes
it. What is looked at is the memory in use, not process ids: inside a container those are the host's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace

from trainci.host import devices
from trainci.lease.store.directory import Directory
from trainci.lease.store.files import read_text
from trainci.lease.store.records import BROKEN
from trainci.text import printable

# A driver keeps some memory of an idle GPU for itself (up to about 600 MiB was seen with persistence mode and MPS).
IDLE_BYTES = 1 << 30
# The memory of a killed CUDA job returns within a second or two.
IDLE_WITHIN_S = 15.0
_LOOK_AGAIN_S = 0.05
# Xid errors that a program causes on a sound GPU: an exception or a page fault in its kernel, and what follows from
# ending it (NVIDIA, "XID Errors"; its Kubernetes device plugin passes over the same ones).
_OF_PROGRAMS = frozenset((13, 31, 43, 45, 68, 109))


@dataclass(frozen=True)
class Quarantine:
    """Why a device is not handed out, and since when (Unix time), until somebody has ``released`` it."""

    reason: str
    since: float
    released: bool = False


def quarantine(directory: Directory, uuid: str, reason: str, now: float) -> None:
    """Keep a device from being handed out until somebody releases it."""
    _write(directory, uuid, Quarantine(reason, now))


def quarantined(directory: Directory) -> dict[str, Quarantine]:
    """The quarantined devices, by id."""
    entries = {uuid: _entry(directory, uuid) for uuid in directory.names("health")}
    return {uuid: entry for uuid, entry in entries.items() if entry is not None and not entry.released}


def release(directory: Directory, uuid: str) -> bool:
    """Clear a quarantine; False when there was none.

    The reason stays on record: a count of errors goes back to 0 only with the driver, and a device that somebody
    has released is not taken away again for those that he knew of.
    """
    entry = quarantined(directory).get(uuid)
    if entry is not None:
        _write(directory, uuid, replace(entry, released=True))
    return entry is not None


def forgiven(directory: Directory, uuid: str) -> str:
    """The fault for which the device was quarantined before it was released; empty for none."""
    entry = _entry(directory, uuid)
    return entry.reason if entry is not None and entry.released else ""


def _write(directory: Directory, uuid: str, entry: Quarantine) -> None:
    directory.write(directory.join("health", uuid), json.dumps(asdict(entry)))


def _entry(directory: Directory, uuid: str) -> Quarantine | None:
    """What the ledger says of a device; None for nothing, or what is not whole."""
    try:
        fields = json.loads(read_text(directory.join("health", uuid)) or "")
        return Quarantine(printable(fields["reason"]), float(fields["since"]), fields["released"] is True)
    except BROKEN:
        return None


@dataclass(frozen=True)
class Probe:
    """How devices are asked about themselves.

    ``memory_used`` gives bytes, ``faults`` a sentence or nothing; both are asked within a ``session``. ``listen``
    begins to hear the Xid errors of devices; what it returns gives those that came since, as pairs of id and
    number.
    """

    session: Callable[[], AbstractContextManager[None]]
    memory_used: Callable[[str], int]
    faults: Callable[[str], str]
    listen: Callable[[Sequence[str]], Callable[[], Iterable[tuple[str, int]]]]


def nvml_probe() -> Probe:
    """Ask NVML. It is not opened before it is asked: who waits must not look as if he used a GPU."""
    devices.load()
    return Probe(devices.session, devices.memory_used, devices.faults, devices.listen)


def broken_by(xids: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Why the devices that reported these Xid errors are to be quarantined, by id."""
    return {uuid: f"Xid {xid} while a job ran on it" for uuid, xid in xids if xid not in _OF_PROGRAMS}


def unfit(
    probe: Probe, uuid: str, forgiven: str, pause: Callable[[float], None], within: float = IDLE_WITHIN_S
) -> str:
    """Why this device cannot be handed over, in one sentence; empty when it can.

    The fault that is ``forgiven`` does not count. Memory that is still in use may take ``within`` seconds to
    return; between two looks ``pause`` is called with seconds.
    """
    fault = probe.faults(uuid)
    if fault and fault != forgiven:
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
