"""The promise of an executor, which the runner relies on and one contract suite tests for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from trainci.model import events
from trainci.model.device import Pool
from trainci.model.project import RAY_ADDRESS, Slurm
from trainci.model.run import Cause, Ending, Phase
from trainci.model.tests import Test

Emit = Callable[[events.Control], None]
# How a job ends that was stopped by an order of ours, where no more is known.
STOPPED = Ending(Cause.SIGNALLED, signal=15)


def ending_of_stopped(reported: Ending | None) -> Ending:
    """How a job has ended that was stopped by an order of ours; ``reported`` is what its lease said.

    A pass that comes after the order is none.
    """
    return STOPPED if reported is None or reported.passed else reported


class Show(Protocol):
    """Who shows what tests print. Neither call raises, nor waits for a terminal for longer than it is told."""

    def __call__(self, output: events.Output, /) -> None:
        """Show it, soon."""

    def has_room(self, wait: float = 0.0) -> bool:
        """Whether it can take more, which may become true within ``wait`` seconds.

        Until then an executor leaves what a job prints where it is.
        """


@dataclass(frozen=True)
class Wanted:
    """What an executor is made for.

    ``root`` is the repository's, ``devices`` and ``nodes`` the values of `trainci run`; ``secrets`` are masked in
    whatever a test prints. ``max_gpus``, ``slurm`` and ``ray_address`` are what ``trainci.toml`` says of other
    hosts. ``tests`` are those of the run: how large what they share is to be.
    """

    root: Path
    devices: str = "auto"
    nodes: int = 1
    secrets: Sequence[str] = ()
    max_gpus: int = 8
    slurm: Slurm = field(default_factory=Slurm)
    ray_address: str = RAY_ADDRESS
    tests: Sequence[Test] = ()


@dataclass(frozen=True)
class Job:
    """One attempt, or one phase of it, that is to be made: the test, its number (from 1), its log.

    Output is appended to the log. ``spent`` is how many seconds of the test's time limit its prepare phase used,
    ``expected`` how many it is likely to take (None: not known). ``avoid`` are ids of devices that
    it does not get where there are enough others.
    """

    test: Test
    attempt: int
    log: Path
    phase: Phase = Phase.BOTH
    spent: float = 0.0
    expected: float | None = None
    avoid: frozenset[str] = frozenset()

    @property
    def num_gpus(self) -> int:
        """How many devices it holds on each node: none to prepare."""
        return 0 if self.phase is Phase.PREPARE else self.test.num_gpus

    @property
    def num_nodes(self) -> int:
        """How many nodes it has: one to prepare."""
        return 1 if self.phase is Phase.PREPARE else self.test.num_nodes

    @property
    def time_limit(self) -> float:
        """What is left of the test's time limit in seconds, and a moment if nothing is."""
        return max(self.test.timeout - self.spent, min(1.0, self.test.timeout))


class Executor(Protocol):
    """Starts jobs and ends them with every process that they started.

    Events reach ``emit`` from any thread, each with the job's test, attempt and phase: ``Waiting`` while others
    hold its devices, ``Granted``, ``Started``, and last, exactly once, ``Ended``. When that is emitted, no process
    of the job lives, its log is complete, and ``show`` has all its output, in the log first and secrets masked; it
    brings the ``Results`` of a test that leaves them, and what failed in one that exited with 0. Who shows output
    may hold up what a job prints, and nothing else: no event, no end. Neither function raises.
    """

    @property
    def pool(self) -> Pool:
        """The devices that its tests may use."""

    @property
    def cpu_slots(self) -> int:
        """How many tests that need no device, or prepare, may run at once."""

    @property
    def device_slots(self) -> int:
        """How many devices tests may want at once: as many as there are, or any number where an engine queues."""

    @property
    def outlives(self) -> bool:
        """Whether its jobs go on when the runner is killed, and a later one may have them by ``start``."""

    @property
    def options(self) -> tuple[str, ...]:
        """The options with which ``trainci run`` comes by an executor like this one."""

    def open(self) -> None:
        """Make ready for a run: what it needs later is there from now on, whatever is upgraded meanwhile."""

    def close(self) -> None:
        """Let go of what ``open`` made. No job runs any more."""

    def start(self, job: Job, emit: Emit, show: Show) -> None:
        """Begin the job, or go on with it if an earlier runner of this run has begun it; return at once."""

    def known_since(self) -> Mapping[str, float]:
        """Since when somebody has known of what was wrong with devices (Unix times, by id)."""

    def suspect(self, devices: Sequence[str], reason: str, *, broken: bool) -> None:
        """Note for the maintainer what speaks against devices; if ``broken``, do not hand them out again."""

    def stop(self, job: Job) -> None:
        """End the job: politely, then for certain. ``Ended`` still follows. Unknown jobs are ignored."""

    def command(self, test: Test) -> str:
        """The exact shell command that ``start`` gives the test, for people to read."""

    def submission(self, test: Test) -> str:
        """What ``start`` hands to an engine for the test, but for names of the run; empty without an engine."""
