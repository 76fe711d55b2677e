"""The promise of an executor, which the runner relies on and one contract suite tests for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainci.model import Event, Test

Emit = Callable[[Event], None]


@dataclass(frozen=True)
class Job:
    """One attempt that is to be made: the test, its number (from 1) and the file that takes its output."""

    test: Test
    attempt: int
    log: Path


class Executor(Protocol):
    """Starts attempts and ends them with every process that they started.

    Events reach ``emit`` from any thread. An attempt gives ``waiting`` (data: ``ahead``) while others hold its
    devices, ``granted`` (``devices``: ids), ``started`` (``pid``), ``output`` (``text``), and last,
    exactly once, ``ended`` (``exit_code``: int or None, ``timed_out``, ``lost``: sentence or ""). When
    ``ended`` is emitted, no process of the attempt lives and its log is complete.
    """

    def start(self, job: Job, emit: Emit) -> None:
        """Begin the attempt and return at once."""

    def stop(self, job: Job) -> None:
        """End the attempt: politely, then for certain. ``ended`` still follows. Unknown jobs are ignored."""

    def command(self, test: Test) -> str:
        """The exact shell command that ``start`` gives the test, for people to read."""
