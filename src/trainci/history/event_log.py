"""The events of one run as lines of JSON, kept as they happen, and the lock that says that its runner lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from trainci.history.tail import Tail
from trainci.host.files import open_plain
from trainci.model import events
from trainci.model.event_lines import read_event, write_event
from trainci.paths import RunPaths, StatePaths

# A line of another program's would have to fit into memory.
_LONGEST_LINE = 1 << 24
# Of a file with more lines that are no events nothing more is read: it is somebody else's.
_MOST_UNREAD = 10_000
_LONGEST_END = 1 << 12


class EventLog:
    """Appends each event as one line (see ``trainci.model.event_lines``).

    ``say`` is told once when that cannot be done. It is no reason to end a test.
    """

    def __init__(self, paths: RunPaths, say: Callable[[str], object]) -> None:
        self._place = paths.shown(paths.events)
        self._say = say
        self._told = False
        self._whole = True
        self._file = -1
        try:
            paths.directory.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._file = os.open(paths.events, flags, 0o644)
        except OSError as error:
            self._complain(error)
        else:
            # Held for the runner's life: a process that can take it knows that the runner is gone. A network's file
            # system may have no locks, and then nobody knows.
            with contextlib.suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_EX)
            # That of a killed runner may end in half a line.
            self._whole = _last_byte(paths) in (b"", b"\n")

    def __call__(self, event: events.Control) -> None:
        """Listen to the run."""
        if self._file < 0:
            return
        # A line that was cut off by a full disk stays apart from those that follow.
        line = (b"" if self._whole else b"\n") + write_event(event).encode() + b"\n"
        try:
            self._whole = os.write(self._file, line) == len(line)
        except OSError as error:
            self._complain(error)
            self._whole = False

    def close(self) -> None:
        """Let the lock go."""
        if self._file >= 0:
            os.close(self._file)

    def _complain(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            self._say(f"{self._place}: what happens cannot be written: {error.strerror}. The run goes on.")


def _last_byte(paths: RunPaths) -> bytes:
    with paths.events.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        return file.read(1)


def read_events(file: Path) -> Iterator[events.Control]:
    """What is left of a run in ``file``: its events, without lines that are cut off or of another trainci."""
    try:
        stream = open_plain(file)
    except OSError:
        return
    with stream:
        yield from _events_of(iter(lambda: stream.readline(_LONGEST_LINE), b""))


class NewEvents:
    """The events of a run that may go on, each given once, in bounded memory; as ``read_events`` gives them."""

    def __init__(self, file: Path) -> None:
        self._tail = Tail(file, _LONGEST_LINE)

    def __iter__(self) -> Iterator[events.Control]:
        """Those that were written since the last time."""
        return _events_of(self._tail.lines())


def _events_of(lines: Iterable[bytes]) -> Iterator[events.Control]:
    unread = 0
    for line in lines:
        try:
            yield read_event(line)
        except ValueError:
            unread += 1
            if unread > _MOST_UNREAD:
                return


def may_live(state: StatePaths, run_id: str) -> bool:
    """Whether a run that the history knows goes on.

    In a history that several hosts share, nobody knows that it does not where its files are another host's.
    """
    paths = RunPaths(state, run_id)
    return is_alive(paths.events) or bool(state.url and not paths.directory.is_dir())


def is_alive(file: Path) -> bool:
    """Whether the runner still lives whose run has its events in ``file``."""
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        # Of a file system without locks: what has not come to its end may go on.
        return not _is_over(opened)
    finally:
        os.close(opened)
    return False


def _is_over(file: int) -> bool:
    """Whether the last event in the open ``file`` is the end of its run."""
    end = os.pread(file, _LONGEST_END, max(0, os.fstat(file).st_size - _LONGEST_END))
    try:
        return isinstance(read_event(end.rstrip(b"\n").rpartition(b"\n")[2]), events.RunEnded)
    except ValueError:
        return False
