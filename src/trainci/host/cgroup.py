"""A cgroup of its own for each job: nothing that is in it gets away, whatever its session, environment or parent.

Only where this process may make one below its own (cgroup v2; cgroups(7), Documentation/admin-guide/cgroup-v2.rst):
as root outside of most containers, or in a delegated cgroup. Elsewhere there is none, and a path here is empty.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable

from trainci.host.files import read_text, tell_kernel
from trainci.host.processes import UNKILLABLE_AFTER_S, Process, descendants, end_descendants, poll_timeout, process

# Where cgroup v2 is mounted: alone, or beside version 1.
_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
_PREFIX = "trainci-"


def path_for(id: str) -> str:
    """The path of the cgroup that the lease ``id`` may make; empty where it may not."""
    for parent in _own():
        if os.access(f"{parent}/cgroup.procs", os.W_OK):
            return f"{parent}/{_PREFIX}{id}"
    return ""


def checked(path: str, id: str, owner: int) -> str:
    """The path that a record of user ``owner`` names, if it can be the cgroup of that lease; else empty.

    Records come from other users too: a path that is anything else must not have its processes ended, nor must a
    cgroup that the record's owner did not make, unless that is root.
    """
    parts = path.split("/")
    mounted = any(path.startswith(f"{mount}/") for mount in _MOUNTS)
    if not mounted or ".." in parts or parts[-1] != f"{_PREFIX}{id}":
        return ""
    if owner == 0:
        return path
    try:
        return path if os.lstat(path).st_uid == owner else ""
    except OSError:
        return ""


def make(path: str) -> bool:
    """Make the cgroup; False where there is none to be had after all (before Linux 5.14 none can be killed)."""
    try:
        os.mkdir(path)
    except OSError:
        return False
    if os.access(f"{path}/cgroup.kill", os.W_OK):
        return True
    remove(path)
    return False


def adopt(path: str, root: int) -> None:
    """Move every descendant of ``root`` into the cgroup, until none is outside.

    A child is born where its parent is, so this ends. A move can take the kernel 20 ms, which is why a job is not
    started inside: that would be part of every hand-over of a device.

    A process that is born and left by its parent while /proc is read is not seen by that look, and so it takes two
    looks in a row that find none.
    """
    inside: set[Process] = set()
    clean_looks = 0
    while clean_looks < 2:
        outside = set(descendants(root)) - inside
        clean_looks = 0 if outside else clean_looks + 1
        inside |= outside
        for each in outside:
            try:
                tell_kernel(f"{path}/cgroup.procs", str(each.pid))
            except OSError:
                # It has ended, or it has become another user's: then the others still are ours to move.
                continue


def members(path: str) -> list[Process]:
    """The processes in the cgroup and those below it, as far as this process's PID namespace shows them."""
    found = []
    for folder, _, _ in os.walk(path):
        found += [process(int(pid)) for pid in (read_text(f"{folder}/cgroup.procs") or "").split()]
    return [each for each in found if each is not None]


def end(path: str) -> bool:
    """SIGKILL everything in the cgroup; is it empty now? Waits UNKILLABLE_AFTER_S at the most."""
    if not path or not _is_populated(path):
        return True
    try:
        tell_kernel(f"{path}/cgroup.kill", "1")
        events = os.open(f"{path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return not _is_populated(path)
    give_up_at = time.monotonic() + UNKILLABLE_AFTER_S
    poller = select.poll()
    # The kernel says POLLPRI when the file changes after it was read.
    poller.register(events, select.POLLPRI)
    try:
        while b"populated 1" in os.pread(events, 4096, 0):
            if time.monotonic() >= give_up_at:
                return False
            poller.poll(poll_timeout(give_up_at - time.monotonic()))
    finally:
        os.close(events)
    return True


def remove(path: str) -> None:
    """Remove an empty cgroup and what is below it; nothing happens where it is gone, or not empty."""
    with contextlib.suppress(OSError):
        for folder, _, _ in os.walk(path, topdown=False) if path else ():
            os.rmdir(folder)


def oom_kills() -> int | None:
    """How many processes the kernel has ended for want of memory in this process's cgroup and those below it.

    None where nothing says so: in the root of the host, or before Linux 4.13.
    """
    for own in _own():
        if (killed := _said_killed(f"{own}/memory.events")) is not None:
            return killed
    for own in _own_of_version_1("memory"):
        # Each counts for itself alone (Documentation/admin-guide/cgroup-v1/memory.rst).
        said = [_said_killed(f"{folder}/memory.oom_control") for folder, _, _ in os.walk(own)]
        if said and said[0] is not None:
            return sum(filter(None, said))
    return None


def _said_killed(file: str) -> int | None:
    for line in (read_text(file) or "").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return None


def end_job(path: str, grace: float, on_exit: Callable[[int, int], None]) -> list[Process]:
    """End this process's descendants (see ``end_descendants``), then all that is in the cgroup.

    The processes that could not be ended.
    """
    left = end_descendants(grace, on_exit)
    return left if left or end(path) else members(path)


def _own() -> list[str]:
    """Where this process's cgroup may be: a path for each mount; none without version 2."""
    return [f"{mount}{own}" for own in _names("") for mount in _MOUNTS]


def _own_of_version_1(controller: str) -> list[str]:
    """None for the root, which is everybody's."""
    return [f"{_MOUNTS[0]}/{controller}{own}" for own in _names(controller) if own]


def _names(controller: str) -> list[str]:
    """The cgroup that this process is in, of a controller of version 1, or of version 2 ("")."""
    lines = (line.split(":", 2) for line in (read_text("/proc/self/cgroup") or "").splitlines())
    return [own.rstrip("/") for _, names, own in lines if controller in names.split(",")]


def _is_populated(path: str) -> bool:
    return "populated 1" in (read_text(f"{path}/cgroup.events") or "")
