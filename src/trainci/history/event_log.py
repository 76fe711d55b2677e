"""The events of one run as lines of JSON, kept as they happen, and the lock that says that its runner lives."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from trainci.errors import MachineError
from trainci.model import Event
from trainci.paths import RunPaths


class EventLog:
    """Appends each event, but for the output (which is in the logs), as one line of JSON.

    :raises MachineError: an event cannot be written.
    """

    def __init__(self, paths: RunPaths) -> None:
        self._path = paths.events
        try:
            paths.directory.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unwritable(self._path, error) from None
        # Held for the runner's life: whoever can take it knows that the runner is gone.
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __call__(self, event: Event) -> None:
        """Listen to the run."""
        if event.kind == "output":
            return
        line = {
            "at": event.at,
            "kind": event.kind,
            "test": event.test_id,
            "attempt": event.attempt,
            **event.data,
        }
        try:
            os.write(self._file, json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise unwritable(self._path, error) from None

    def close(self) -> None:
        """Let the lock go."""
        os.close(self._file)


def unwritable(path: Path, error: Exception) -> MachineError:
    """What is raised when a listener cannot keep what happened."""
    reason = error.strerror if isinstance(error, OSError) else error
    return MachineError(
        f"{path}: what happened cannot be written: {reason}. The tests that ran are ended; make room, or see who "
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
