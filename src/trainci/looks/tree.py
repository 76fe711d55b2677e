"""The processes of a job as the kernel shows them (proc(5)): which there are, and which files they write."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from trainci.host import processes
from trainci.host.files import read_text
from trainci.host.processes import Process, below, process
from trainci.probe import SIGNAL
from trainci.text import printable

_MOST = 512
_MOST_DESCRIPTORS = 512
_MOST_THREADS = 1024
_LONGEST_COMMAND = 200
# Processes of libraries that work on whether the job does or not: ray's, and what looks after children.
_SERVICES = (
    "/raylet", "/gcs_server", "ray/_private/log_monitor.py", "ray/_private/runtime_env/agent/main.py",
    "ray/dashboard/", "ray/autoscaler/_private/monitor.py", "multiprocessing.resource_tracker", "wandb-core",
)  # fmt: skip


def of_job(command: int) -> list[Process]:
    """The processes of the job whose first command is the process ``command``, parents before their children.

    Its supervisor is the parent of all that lost theirs.
    """
    first = process(command)
    if first is None:
        return []
    return [each for each in _below(first.parent) if each.state not in "ZX"][:_MOST]


def _below(root: int) -> list[Process]:
    """The descendants of a process: by its children, where the kernel lists them, else by a look at all."""
    if not Path(f"/proc/{root}/task/{root}/children").exists():
        return below({root}, processes.processes())
    found: list[Process] = []
    todo = [root]
    while todo and len(found) < _MOST:
        for task in _tasks(todo.pop()):
            children = (process(int(pid)) for pid in (read_text(f"{task}/children") or "").split())
            born = [each for each in children if each is not None]
            found += born
            todo += [each.pid for each in born]
    return found


def _tasks(pid: int) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/task") as entries:
        return [entry.path for entry in islice(entries, _MOST_THREADS)]
    return []


def words(pid: int) -> str:
    """The command of a process on one line."""
    text = (read_text(f"/proc/{pid}/cmdline") or "").rstrip("\0")[:_LONGEST_COMMAND].replace("\0", " ")
    return printable(text or (read_text(f"/proc/{pid}/comm") or "").strip())


def rank(pid: int) -> tuple[int | None, int | None]:
    """Rank and world size as torchrun and others tell a process by its environment."""
    found = [processes.variable(pid, name).decode("ascii", "replace") for name in ("RANK", "WORLD_SIZE")]
    number, size = (int(text) if text.isdecimal() and len(text) < 8 else None for text in found)
    return number, size


def is_service(command: str) -> bool:
    """Whether it is a process of a library's own, which says nothing of the job's progress."""
    return any(part in command for part in _SERVICES)


def ran(pid: int) -> object:
    """A value that differs once a thread of the process has run; never equal where the kernel does not tell."""
    # Time on a core, time in its queue, and how many times (Documentation/scheduler/sched-stats.rst).
    return tuple((task, read_text(f"{task}/schedstat") or object()) for task in _tasks(pid)) or object()


def runs(pid: int) -> bool:
    """Whether a thread of the process runs, or would if a core were free."""
    return any((read_text(f"{task}/stat") or "").rpartition(")")[2].split()[:1] == ["R"] for task in _tasks(pid))


def main_thread_runs(pid: int) -> bool:
    """Whether its first thread does."""
    found = process(pid)
    return found is not None and found.state == "R"


def cpu_seconds(pid: int) -> float:
    """The seconds on a core of all its threads so far (proc(5))."""
    fields = (read_text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def waits_in(pid: int) -> str:
    """The function of the kernel that its main thread waits in; empty where the kernel does not say."""
    text = (read_text(f"/proc/{pid}/wchan") or "").strip()
    return "" if text == "0" else printable(text[:100])


def written(among: Iterable[Process], beside: Path) -> frozenset[tuple[int, ...]]:
    """What the processes write: a value that differs once one of them has written to a file that it holds open.

    What they write to the folder ``beside`` does not count, as it is said when we ask.
    """
    found: set[tuple[int, ...]] = set()
    for each in among:
        if not handles(each.pid, SIGNAL):
            # A Python program's answers would count.
            found.add((each.pid, _written_bytes(each.pid)))
        with contextlib.suppress(OSError), os.scandir(f"/proc/{each.pid}/fd") as entries:
            for entry in islice(entries, _MOST_DESCRIPTORS):
                found |= _file(Path(entry.path), f"{beside}/")
    return frozenset(found)


def _file(descriptor: Path, but: str) -> set[tuple[int, ...]]:
    """The state of a file that is open for writing, if it is one and not below ``but``."""
    try:
        # The link's own bits say how it was opened (proc(5)).
        if not descriptor.lstat().st_mode & stat.S_IWUSR or str(descriptor.readlink()).startswith(but):
            return set()
        file = descriptor.stat()
    except OSError:
        return set()
    if not stat.S_ISREG(file.st_mode):
        return set()
    return {(file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns)}


def handles(pid: int, number: int) -> bool:
    """Whether the process catches the signal (proc(5))."""
    return bool(int(processes.status(pid, "SigCgt") or "0", 16) >> (number - 1) & 1)


def _written_bytes(pid: int) -> int:
    """What it sent to disks so far, wherever."""
    try:
        lines = (read_text(f"/proc/{pid}/io") or "").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), 0)
