"""Is a device fit to be handed over?

What is looked at is first the memory in use, not process ids: inside a container those are the host's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from trainci.errors import MachineError
from trainci.host import devices
from trainci.host.processes import owner
from trainci.host.users import user_name
from trainci.model.seen import Seen
from trainci.text import listed

# A driver keeps some memory of an idle GPU for itself (up to about 600 MiB was seen with persistence mode and MPS).
IDLE_BYTES = 1 << 30
# The memory of a killed CUDA job returns within a second or two; what is in use longer is somebody else's.
MEMORY_RETURNS_S = 3.0
_LOOK_AGAIN_S = 0.05
# Xid errors that a program causes on a sound GPU: an exception or a page fault in its kernel, and what follows from
# ending it (NVIDIA, "XID Errors"; its Kubernetes device plugin passes over the same ones).
_OF_PROGRAMS = frozenset((13, 31, 43, 45, 68, 109))


@dataclass(frozen=True)
class Probe:
    """How devices are asked about themselves.

    ``memory_used`` gives bytes, ``faults`` a sentence or nothing, ``users`` the ids of the processes that use it,
    as far as they can be seen; all are asked within a ``session``. ``listen`` begins to hear the Xid errors of
    devices; what it returns gives those that came since, as pairs of id and number.
    """

    session: Callable[[], AbstractContextManager[None]]
    memory_used: Callable[[str], int]
    faults: Callable[[str], str]
    listen: Callable[[Sequence[str]], Callable[[], Iterable[tuple[str, int]]]]
    users: Callable[[str], tuple[int, ...]]


@dataclass(frozen=True)
class Unfit:
    """Why a device cannot be handed over, in words.

    ``broken``: until somebody has seen to it; else it is in use.
    """

    reason: str
    broken: bool


def nvml_probe() -> Probe:
    """Ask NVML. It is not opened before it is asked: who waits must not look as if he used a GPU."""
    devices.load()
    return Probe(devices.session, devices.memory_used, devices.faults, devices.listen, devices.users)


def broken_by(xids: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Why the devices that reported these Xid errors are to be quarantined, by id."""
    return {uuid: f"Xid {xid} while a job ran on it" for uuid, xid in xids if xid not in _OF_PROGRAMS}


def seen(probe: Probe, uuids: Mapping[str, str], xids: Iterable[int], pause: Callable[[float], None]) -> Seen:
    """What is to be seen of the devices of a job, which were clean before, once no process of it is left.

    ``uuids`` maps their ids to the faults that they had before; between two looks ``pause`` is called with seconds.
    """
    lost = broken = foreign = False
    with probe.session():
        for uuid, fault_before in uuids.items():
            try:
                found = unfit(probe, uuid, fault_before, pause, MEMORY_RETURNS_S)
                broken = broken or (found is not None and found.broken)
                foreign = foreign or (found is not None and not found.broken)
            except MachineError:
                lost = True
    return Seen(
        device_lost=lost, ecc=broken and not lost, foreign_memory=foreign, dirty_handover=False, xid=tuple(xids)
    )


def unfit(probe: Probe, uuid: str, forgiven: str, pause: Callable[[float], None], within: float) -> Unfit | None:
    """Why this device cannot be handed over; None when it can.

    The fault that is ``forgiven`` does not count. Memory that is still in use may take ``within`` seconds to
    return; between two looks ``pause`` is called with seconds.
    """
    fault = probe.faults(uuid)
    if fault and fault != forgiven:
        return Unfit(fault, broken=True)
    begun = time.monotonic()
    while True:
        used = probe.memory_used(uuid)
        if used <= IDLE_BYTES:
            return None
        if time.monotonic() - begun >= within:
            return Unfit(in_use(used, probe.users(uuid)), broken=False)
        # NVML has no event for memory that returns; this loop runs only for a device that is dirty now.
        pause(_LOOK_AGAIN_S)


def in_use(used: int, users: Sequence[int]) -> str:
    """What is said of a device that is used outside the queue."""
    who = f" by {_processes(users)}" if users else ""
    return f"{used >> 20} MiB in use outside the queue{who}"


def _processes(pids: Sequence[int]) -> str:
    """``process 4242 (ana)``, ``processes 4242 (ana), 4243 (ben)``."""
    shown = [f"{pid} ({user_name(uid)})" if (uid := owner(pid)) is not None else str(pid) for pid in pids]
    return f"process{'es' if shown[1:] else ''} {listed(shown)}"
