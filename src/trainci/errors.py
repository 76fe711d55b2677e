"""The errors that trainci expects, each with the exit code that a user sees.

``cli`` is the one place that turns them into exit codes. Everything else that is raised is our bug (exit 3).
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_MACHINE = 3
EXIT_INTERRUPTED = 130


class TrainciError(Exception):
    """An expected error: its text names the thing, the place and the way out; no traceback is shown."""

    exit_code = EXIT_MACHINE


class UsageError(TrainciError):
    """Your command or your configuration is wrong."""

    exit_code = EXIT_USAGE


class PlacedFaults(UsageError):
    """Faults of files, one a line, each beginning with its place (``trainci.toml:14: …``), as editors read it."""


class MachineError(TrainciError):
    """The host cannot do what was asked: no devices, no disk, a broken driver."""

    exit_code = EXIT_MACHINE
