"""The events of one run as lines of JSON, kept as they happen, and the lock that says that its runner lives."""

from __future__ import annotations

import fcntl
import os

from trainci.errors import MachineError
from trainci.model import events
from trainci.model.event_lines import write_event
from trainci.paths import RunPaths


class EventLog:
    """Appends each event as one line (see ``trainci.model.event_lines``).

    :raises MachineError: an event cannot be written.
    """

    def __init__(self, paths: RunPaths) -> None:
        self._place = str(paths.events)
        try:
            paths.directory.mkdir(parents=True, exist_ok=True)
            self._file = os.open(paths.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unwritable(self._place, error.strerror) from None
        # Held for the runner's life: whoever can take it knows that the runner is gone.
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __call__(self, event: events.Control) -> None:
        """Listen to the run."""
        try:
            os.write(self._file, write_event(event).encode() + b"\n")
        except OSError as error:
            raise unwritable(self._place, error.strerror) from None

    def close(self) -> None:
        """Let the lock go."""
        os.close(self._file)


def unwritable(place: str, reason: str | None) -> MachineError:
    """What is raised when a listener cannot keep what happened."""
    return MachineError(
        f"{place}: what happened cannot be written: {reason}. The tests that ran are ended; make room, or see who "
        "may write there, and run again."
    )


def is_alive(paths: RunPaths) -> bool:
    """Whether the runner of this run still lives."""
    try:
        file = os.open(paths.events, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
