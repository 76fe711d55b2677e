"""The promise of an executor, which the runner relies on and one contract suite tests for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from trainci.model import Event, Test

Emit = Callable[[Event], None]


class Phase(Enum):
    """How much of a test a job runs. The value is what the test finds in ``TRAINCI_PHASE`` (none for both)."""

    BOTH = ""
    PREPARE = "prepare"
    EXECUTE = "execute"


@dataclass(frozen=True)
class Job:
    """One attempt, or one phase of it, that is to be made: the test, its number (from 1), its log.

    Output is appended to the log. ``spent`` is how many seconds of the test's time limit its prepare phase used.
    """

    test: Test
    attempt: int
    log: Path
    phase: Phase = Phase.BOTH
    spent: float = 0.0

    @property
    def num_gpus(self) -> int:
        """How many devices it holds: none to prepare."""
        return 0 if self.phase is Phase.PREPARE else self.test.num_gpus

    @property
    def time_limit(self) -> float:
        """What is left of the test's time limit in seconds, and a moment if nothing is."""
        return max(self.test.timeout - self.spent, min(1.0, self.test.timeout))


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
