"""What the processes of a job are doing at one moment, as it was seen from outside. Times are Unix timestamps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StackFrame:
    """A place in a stack of Python."""

    file: str
    line: int
    function: str


@dataclass(frozen=True)
class Thread:
    """A thread and its ``frames``, the innermost first. ``id`` tells it from the others of its process."""

    id: str
    frames: tuple[StackFrame, ...]


@dataclass(frozen=True)
class Operation:
    """One communication of a group of ranks, the ``number``-th. ``sizes`` are those of its input, as torch says."""

    number: int
    name: str
    sizes: str = ""
    p2p: bool = False


@dataclass(frozen=True)
class Group:
    """A process group of torch.distributed as one of its ranks knows it.

    ``name`` is torch's own, ``what`` says what it is for, where somebody said so. ``last`` is the operation that
    this rank began last, ``waits`` the first of those that are not done.
    """

    name: str
    ranks: tuple[int, ...]
    last: Operation | None = None
    waits: Operation | None = None
    what: str = ""


@dataclass(frozen=True)
class ProcessLook:
    """A process of a job.

    ``command`` are its words, ``state`` is the kernel's letter, ``waits_in`` the function of the kernel that it
    waits in, empty where it does not say. ``threads``, the main thread last, are None where it did not answer;
    ``groups`` are None where it uses no torch.distributed, or is ``mute``: it uses it, and does not say how.
    ``late``: it was asked and can answer, and has not had the time to. ``native`` are lines of its stacks with
    native frames, where they could be read.
    """

    pid: int
    parent: int
    command: str
    state: str = "S"
    waits_in: str = ""
    threads: tuple[Thread, ...] | None = None
    rank: int | None = None
    world_size: int | None = None
    groups: tuple[Group, ...] | None = None
    mute: bool = False
    late: bool = False
    native: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usage:
    """A device (by its id): how busy it is in percent, None where nobody says, and its memory in use in bytes."""

    device: str
    percent: int | None
    memory: int


@dataclass(frozen=True)
class Sample:
    """The usage of a device at one moment of a run, a Unix time; see Usage."""

    at: float
    device: str
    percent: int | None
    memory: int


@dataclass(frozen=True)
class Look:
    """All processes of a job at one moment, those that started others before them."""

    at: float
    processes: tuple[ProcessLook, ...]
