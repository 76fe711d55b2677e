"""Is a device fit to be handed over? Marks on those that are not, and the gate that each must pass.

A mark is a file for each quarantined or drained device, so it outlives every process; ``trainci gpus`` sets and
clears them. What is looked at is first the memory in use, not process ids: inside a container those are the
host's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace

from trainci.errors import MachineError
from trainci.host import devices
from trainci.host.processes import owner
from trainci.host.users import user_name
from trainci.lease.store.directory import Directory
from trainci.lease.store.files import read_text
from trainci.lease.store.records import BROKEN, moment
from trainci.model.seen import Seen
from trainci.text import listed, printable

# A driver keeps some memory of an idle GPU for itself (up to about 600 MiB was seen with persistence mode and MPS).
IDLE_BYTES = 1 << 30
# The memory of a killed CUDA job returns within a second or two.
IDLE_WITHIN_S = 15.0
# What is in use longer than this after the end of a job is not what the job had.
_OWN_MEMORY_RETURNS_S = 3.0
_LOOK_AGAIN_S = 0.05
# Who is still seen on it after this time is not just ending.
_GONE_WITHIN_S = 2.0
# Xid errors that a program causes on a sound GPU: an exception or a page fault in its kernel, and what follows from
# ending it (NVIDIA, "XID Errors"; its Kubernetes device plugin passes over the same ones).
_OF_PROGRAMS = frozenset((13, 31, 43, 45, 68, 109))


@dataclass(frozen=True)
class Mark:
    """Why a device is not handed out, and since when (Unix time), until somebody has ``released`` it.

    ``by`` is the name of who said so, empty where trainci found it.
    """

    reason: str
    since: float
    released: bool = False
    by: str = ""


# The folders of the two kinds of mark: it is broken; somebody wants it left alone once its holder is done.
_QUARANTINED, _DRAINED = "health", "drained"


def quarantine(directory: Directory, uuid: str, reason: str, now: float, by: str = "") -> None:
    """Keep a device from being handed out, because it is broken."""
    _write(directory, _QUARANTINED, uuid, Mark(reason, now, by=by))


def drain(directory: Directory, uuid: str, reason: str, now: float, by: str) -> None:
    """Keep a device from being handed out, because ``by`` wants so; whoever holds it keeps it."""
    _write(directory, _DRAINED, uuid, Mark(reason, now, by=by))


def quarantined(directory: Directory) -> dict[str, Mark]:
    """The quarantined devices, by id."""
    return _marked(directory, _QUARANTINED)


def drained(directory: Directory) -> dict[str, Mark]:
    """The drained devices, by id."""
    return _marked(directory, _DRAINED)


def withheld(directory: Directory) -> dict[str, str]:
    """The devices that are not handed out, each with the reason in words."""
    ill = {uuid: f"quarantined: {mark.reason}" for uuid, mark in quarantined(directory).items()}
    left = {uuid: f"drained by {mark.by}" for uuid, mark in drained(directory).items()}
    return {**left, **ill}


def known_since(directory: Directory) -> dict[str, float]:
    """Since when somebody has known of what is wrong with a device, or was (Unix times, by id)."""
    marks = {uuid: _mark(directory, _QUARANTINED, uuid) for uuid in directory.names(_QUARANTINED)}
    return {uuid: mark.since for uuid, mark in marks.items() if mark is not None}


def release(directory: Directory, uuid: str) -> bool:
    """Clear a quarantine; False when there was none.

    The reason stays on record: a count of errors goes back to 0 only with the driver, and a device that somebody
    has released is not taken away again for those that he knew of.
    """
    return _clear(directory, _QUARANTINED, uuid)


def undrain(directory: Directory, uuid: str) -> bool:
    """Hand a drained device out again; False when it was none."""
    return _clear(directory, _DRAINED, uuid)


def _marked(directory: Directory, folder: str) -> dict[str, Mark]:
    marks = {uuid: _mark(directory, folder, uuid) for uuid in directory.names(folder)}
    return {uuid: mark for uuid, mark in marks.items() if mark is not None and not mark.released}


def _clear(directory: Directory, folder: str, uuid: str) -> bool:
    """Not by removing the file, which is perhaps another user's."""
    mark = _marked(directory, folder).get(uuid)
    if mark is not None:
        _write(directory, folder, uuid, replace(mark, released=True))
    return mark is not None


def forgiven(directory: Directory, uuid: str) -> str:
    """The fault for which the device was quarantined before it was released; empty for none."""
    mark = _mark(directory, _QUARANTINED, uuid)
    return mark.reason if mark is not None and mark.released else ""


def _write(directory: Directory, folder: str, uuid: str, mark: Mark) -> None:
    directory.write(directory.join(folder, uuid), json.dumps(asdict(mark)))


def _mark(directory: Directory, folder: str, uuid: str) -> Mark | None:
    """What a file says of a device; None for nothing, or what is not whole."""
    try:
        fields = json.loads(read_text(directory.join(folder, uuid)) or "")
        by = printable(fields.get("by", ""))
        return Mark(printable(fields["reason"]), moment(fields["since"]), fields["released"] is True, by)
    except BROKEN:
        return None


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
                found = unfit(probe, uuid, fault_before, pause, _OWN_MEMORY_RETURNS_S)
                broken = broken or (found is not None and found.broken)
                foreign = foreign or (found is not None and not found.broken)
            except MachineError:
                lost = True
    return Seen(
        device_lost=lost, ecc=broken and not lost, foreign_memory=foreign, dirty_handover=False, xid=tuple(xids)
    )


def unfit(
    probe: Probe, uuid: str, forgiven: str, pause: Callable[[float], None], within: float = IDLE_WITHIN_S
) -> Unfit | None:
    """Why this device cannot be handed over; None when it can.

    The fault that is ``forgiven`` does not count. Memory that is still in use may take ``within`` seconds to
    return, and much less where processes are seen that use it; between two looks ``pause`` is called with seconds.
    """
    fault = probe.faults(uuid)
    if fault and fault != forgiven:
        return Unfit(fault, broken=True)
    begun = time.monotonic()
    while True:
        used = probe.memory_used(uuid)
        if used <= IDLE_BYTES:
            return None
        users = probe.users(uuid)
        if time.monotonic() - begun >= (min(within, _GONE_WITHIN_S) if users else within):
            return Unfit(in_use(used, users), broken=False)
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
