"""Asks processes where they are, by the probe that rides in them, and takes their answers for hostile."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from trainci.host.processes import Process
from trainci.looks import tree
from trainci.probe import PYTHON_SIGNAL, SIGNAL

# What the probe's own thread can be asked for (see `trainci.probe.ranks`).
_STACKS, _GROUPS = b"s", b"?"
_LARGEST = 1 << 20
_MOST_DESCRIPTORS = 4096
# A dump has no end that could be told: it is whole once it has not grown for so many looks at it.
_UNCHANGED = 3
_LOOK_AGAIN_S = 0.01
# Who has run for so long since it was asked, and has not answered, is in C.
_IN_C_S = 0.1


class Asking:
    """The folder in which the processes of one job answer.

    :raises OSError: it is not there, or is a link.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._folder)

    def stacks(self, asked: Iterable[Process], patience: float) -> dict[int, bytes]:
        """What each process that can answer wrote of its threads within ``patience`` seconds, or nothing.

        Who runs is asked to answer between two instructions of Python first, for as long: faulthandler may crash a
        process in which a thread is amid one (Python 3.11 to 3.13), which nobody may do who only looks.
        """
        files: dict[Process, int] = {}
        with contextlib.ExitStack() as opened:
            for process in asked:
                with contextlib.suppress(OSError):
                    file = self._open(f"{process.pid}.stacks", os.O_RDWR)
                    opened.callback(os.close, file)
                    if _answers(process.pid, file):
                        os.ftruncate(file, 0)
                        files[process] = file
            amid = self._amid_python(files, patience)
            for process, file in files.items():
                if not _size(file) and process not in amid:
                    self._send(process)
            _wait(lambda: [_size(file) for process, file in files.items() if process not in amid], patience)
            return {process.pid: os.pread(file, _LARGEST, 0) for process, file in files.items()}

    def _amid_python(self, files: Mapping[Process, int], patience: float) -> set[Process]:
        """Ask who runs to answer between two instructions; who has not answered, and may be amid one."""
        asked = {process: tree.cpu_seconds(process.pid) for process in files if tree.runs(process.pid)}
        # The probe's own thread answers in time unless the interpreter is held in C.
        by_thread = {process for process in asked if self._ask(process.pid, _STACKS)}
        for process in asked.keys() - by_thread:
            if tree.handles(process.pid, PYTHON_SIGNAL):
                process.send(PYTHON_SIGNAL)
        amid = asked.keys() - by_thread
        give_up_at = time.monotonic() + patience
        while asked and time.monotonic() < give_up_at:
            time.sleep(_LOOK_AGAIN_S)
            for process, before in list(asked.items()):
                in_c = process not in by_thread and tree.cpu_seconds(process.pid) >= before + _IN_C_S
                if in_c or _size(files[process]) or not tree.runs(process.pid):
                    del asked[process]
                    # Its main thread would have answered; where that sleeps in C, another one is what runs.
                    if not in_c or tree.main_thread_runs(process.pid):
                        amid.discard(process)
        return amid

    def _send(self, process: Process) -> None:
        """The signal, to the probe's own thread where there is one: any other may break off what it does in C."""
        said = self._read(f"{process.pid}.thread")
        if not (said.isdigit() and len(said) < 10 and process.send_to_thread(int(said), SIGNAL)):
            process.send(SIGNAL)

    def groups(self, asked: Iterable[Process], patience: float) -> dict[int, bytes]:
        """What each process that uses torch.distributed wrote of its groups within ``patience`` seconds."""
        waiting = {process.pid for process in asked if self._ask(process.pid, _GROUPS)}
        found: dict[int, bytes] = {}
        give_up_at = time.monotonic() + patience
        while waiting and time.monotonic() < give_up_at:
            for pid in list(waiting):
                if said := self._read(f"{pid}.groups"):
                    found[pid] = said
                    waiting.discard(pid)
            if waiting:
                time.sleep(_LOOK_AGAIN_S)
        return {**dict.fromkeys(waiting, b""), **found}

    def _ask(self, pid: int, what: bytes) -> bool:
        """Whether the probe's own thread, if there is one, was asked."""
        try:
            pipe = self._open(f"{pid}.ask", os.O_WRONLY, stat.S_ISFIFO)
        except OSError:
            return False
        try:
            if what == _GROUPS:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{pid}.groups", dir_fd=self._folder)
            os.write(pipe, what)
        except OSError:
            return False
        finally:
            os.close(pipe)
        return True

    def _read(self, name: str) -> bytes:
        try:
            file = self._open(name, os.O_RDONLY)
        except OSError:
            return b""
        try:
            return os.read(file, _LARGEST)
        except OSError:
            return b""
        finally:
            os.close(file)

    def _open(self, name: str, flags: int, is_right: Callable[[int], bool] = stat.S_ISREG) -> int:
        """A file of the folder that is what it should be, of nobody else's.

        :raises OSError: it is not.
        """
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(name, flags, dir_fd=self._folder)
        found = os.fstat(file)
        if is_right(found.st_mode) and found.st_nlink == 1:
            return file
        os.close(file)
        raise OSError(0, f"{name} is not what it should be")


def _answers(pid: int, file: int) -> bool:
    """Whether the process handles the signal, which would end it otherwise, and still has ``file`` open for it."""
    if not tree.handles(pid, SIGNAL):
        return False
    wanted = os.fstat(file)
    with os.scandir(f"/proc/{pid}/fd") as entries:
        for _, entry in zip(range(_MOST_DESCRIPTORS), entries, strict=False):
            with contextlib.suppress(OSError):
                found = os.stat(entry.path)
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    # Once more: it may have become another program meanwhile.
                    return tree.handles(pid, SIGNAL)
    return False


def _size(file: int) -> int:
    return os.fstat(file).st_size


def _wait(sizes: Callable[[], list[int]], patience: float) -> None:
    """Until every file has something in it and none grows."""
    give_up_at = time.monotonic() + patience
    before, unchanged = sizes(), 0
    while time.monotonic() < give_up_at and unchanged < _UNCHANGED:
        time.sleep(_LOOK_AGAIN_S)
        now = sizes()
        unchanged = unchanged + 1 if now == before and all(now) else 0
        before = now
