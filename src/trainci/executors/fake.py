"""An executor that follows a script and starts no process: for tests of whatever stands above an executor."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainci.executors.base import STOPPED, Emit, Job, Show
from trainci.model import events
from trainci.model.device import Pool
from trainci.model.run import Cause, Ending, Failure, Phase, Results
from trainci.model.tests import Test

PASSED = Ending(Cause.EXITED, 0)


@dataclass(frozen=True)
class Scripted:
    """How one attempt goes: what it prints and leaves, what fails in it, and how it ends.

    ``hangs``: it ends only when it is stopped.
    """

    ending: Ending = PASSED
    output: str = ""
    hangs: bool = False
    results: Results | None = None
    failures: tuple[Failure, ...] = ()


class FakeExecutor:
    """Plays ``script[test id][attempt - 1]``; attempts beyond the script pass.

    A prepare phase has a script of its own, under ``"<test id> prepare"``, and is so named in ``started``.
    """

    options = ("--executor", "fake")
    outlives = False

    def __init__(
        self,
        script: Mapping[str, Sequence[Scripted]],
        clock: Callable[[], float],
        pool: Pool,
        cpu_slots: int = 2,
    ) -> None:
        self._script = script
        self._clock = clock
        self.pool = pool
        self.cpu_slots = cpu_slots
        self.device_slots = len(pool.devices)
        self._hanging: dict[Job, Emit] = {}
        self._pids = itertools.count(1)
        self.started: list[str] = []
        self.avoided: list[frozenset[str]] = []
        self.suspected: list[tuple[tuple[str, ...], str]] = []

    def open(self) -> None:
        """See Executor."""

    def close(self) -> None:
        """See Executor."""

    def command(self, test: Test) -> str:
        """See Executor."""
        return shlex.join(test.command)

    def submission(self, test: Test) -> str:
        """See Executor."""
        return ""

    def start(self, job: Job, emit: Emit, show: Show) -> None:
        """See Executor."""
        scripted = self._scripted(job)
        self.started.append(_name(job))
        self.avoided.append(job.avoid)
        of_job = (job.test.id, job.attempt, job.phase)
        emit(events.Granted(self._clock(), *of_job, tuple(f"fake-{i}" for i in range(job.num_gpus))))
        emit(events.Started(self._clock(), *of_job, next(self._pids)))
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a") as log:
            log.write(scripted.output)
        if scripted.output:
            show(events.Output(self._clock(), *of_job, scripted.output.encode()))
        if scripted.hangs:
            self._hanging[job] = emit
        else:
            self._end(job, emit, scripted)

    def known_since(self) -> Mapping[str, float]:
        """See Executor."""
        return {}

    def suspect(self, devices: Sequence[str], reason: str, *, broken: bool) -> None:
        """See Executor."""
        self.suspected.append((tuple(devices), reason))

    def stop(self, job: Job) -> None:
        """See Executor."""
        if emit := self._hanging.pop(job, None):
            self._end(job, emit, Scripted(STOPPED))

    def _scripted(self, job: Job) -> Scripted:
        attempts = self._script.get(_name(job), ())
        return attempts[job.attempt - 1] if job.attempt <= len(attempts) else Scripted()

    def _end(self, job: Job, emit: Emit, how: Scripted) -> None:
        of_job = (job.test.id, job.attempt, job.phase)
        emit(events.Ended(self._clock(), *of_job, how.ending, how.results, failures=how.failures))


def _name(job: Job) -> str:
    return f"{job.test.id} prepare" if job.phase is Phase.PREPARE else job.test.id
