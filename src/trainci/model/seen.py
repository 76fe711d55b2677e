"""What a lease sees of the ground that a job runs on. Apart from ``diagnosis``: a lease starts fast."""

from __future__ import annotations

from dataclasses import dataclass

OF_SECCOMP = "it made a system call that its own seccomp forbids"
"""What is said of ``Seen.seccomp``."""


@dataclass(frozen=True)
class Seen:
    """What was seen of a job's devices and of its host. None is *unknown*, which is not *no*.

    ``kernel_oom``: the kernel ended a process of the job for want of memory (``oom_kill`` of its cgroup).
    ``seccomp``: it ended the command for a system call that the command's own seccomp forbids.
    ``xid``: the numbers of the Xid errors of its devices. ``foreign_memory``: a process that is not the job's had
    memory on its devices. ``dirty_handover``: its devices were not clean when it got them.
    """

    kernel_oom: bool | None = None
    seccomp: bool | None = None
    device_lost: bool | None = None
    xid: tuple[int, ...] | None = None
    ecc: bool | None = None
    foreign_memory: bool | None = None
    dirty_handover: bool | None = None
    disk_full: bool | None = None
    shm_full: bool | None = None
    clock_jumped: bool | None = None
    container_restarted: bool | None = None


NOTHING_SEEN = Seen()
