"""Pure: what ``trainci gpus`` answers. Times are Unix timestamps."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainci.answers.values import Answer


@dataclass(frozen=True)
class Usage:
    """What a driver says of a device now: bytes of memory, percent of the time that it computed, process ids.

    None where it does not say.
    """

    memory_used: int | None = None
    memory_total: int | None = None
    utilization: int | None = None
    processes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Holder:
    """A lease that holds devices. Times are Unix timestamps, None when nobody said.

    ``pid`` is what the lease calls its process, which in a container is a number of its own; ``host_pid`` what we
    call it, None where we cannot see it. ``until`` is when it ends at the latest, ``expected`` when it is likely
    to.
    """

    lease: str
    name: str
    user: str
    pid: int
    host_pid: int | None
    since: float
    until: float | None
    expected: float | None


@dataclass(frozen=True)
class DeviceStatus:
    """One device.

    ``state`` is ``free``, ``held``, ``draining`` (held, and not handed out again), ``drained``, ``quarantined``,
    ``busy outside the queue``, ``foreign`` (locked by something that is no lease of ours) or ``unusable``.
    ``reason`` says why, ``since`` (Unix time) and ``by`` since when and by whom, where anybody knows.
    """

    uuid: str
    index: int
    name: str
    state: str
    holder: Holder | None = None
    since: float | None = None
    by: str = ""
    reason: str = ""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Waiting:
    """A request in the queue; ``place`` is in the order in which they are served, from 1.

    ``devices`` are ids where it asked for certain ones; ``virtual``: it asks for virtual devices. ``latest_start``
    is what it was promised, ``expected_start`` what is likely as far as those before it are expected to end; None
    when nobody can know.
    """

    request: str
    place: int
    name: str
    user: str
    pid: int
    host_pid: int | None
    priority: str
    count: int
    devices: tuple[str, ...]
    since: float
    latest_start: float | None
    expected_start: float | None
    why: str
    virtual: bool = False


@dataclass(frozen=True)
class Status(Answer):
    """``trainci gpus``: the devices by index, and the requests in the order in which they are served."""

    SCHEMA = "trainci/gpus/1"
    devices: tuple[DeviceStatus, ...]
    waiting: tuple[Waiting, ...]
