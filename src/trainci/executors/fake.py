"""An executor that follows a script and starts no process: for tests of whatever stands above an executor."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainci.executors.base import Emit, Job, Phase
from trainci.model import Event, Test


@dataclass(frozen=True)
class Scripted:
    """How one attempt goes: what it prints and how it ends. ``hangs``: it ends only when it is stopped."""

    exit_code: int | None = 0
    output: str = ""
    timed_out: bool = False
    lost: str = ""
    hangs: bool = False


class FakeExecutor:
    """Plays ``script[test id][attempt - 1]``; attempts beyond the script pass.

    A prepare phase has a script of its own, under ``"<test id> prepare"``, and is so named in ``started``.
    """

    def __init__(self, script: Mapping[str, Sequence[Scripted]], clock: Callable[[], float]) -> None:
        self._script = script
        self._clock = clock
        self._hanging: dict[Job, Emit] = {}
        self._pids = itertools.count(1)
        self.started: list[str] = []

    def command(self, test: Test) -> str:
        """See Executor."""
        return shlex.join(test.command)

    def start(self, job: Job, emit: Emit) -> None:
        """See Executor."""
        scripted = self._scripted(job)
        self.started.append(_name(job))
        self._send(job, emit, "granted", devices=[f"fake-{i}" for i in range(job.num_gpus)])
        self._send(job, emit, "started", pid=next(self._pids))
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a") as log:
            log.write(scripted.output)
        if scripted.output:
            self._send(job, emit, "output", text=scripted.output)
        if scripted.hangs:
            self._hanging[job] = emit
        else:
            self._end(job, emit, scripted)

    def stop(self, job: Job) -> None:
        """See Executor."""
        if emit := self._hanging.pop(job, None):
            self._end(job, emit, Scripted(exit_code=-15))

    def _scripted(self, job: Job) -> Scripted:
        attempts = self._script.get(_name(job), ())
        return attempts[job.attempt - 1] if job.attempt <= len(attempts) else Scripted()

    def _end(self, job: Job, emit: Emit, how: Scripted) -> None:
        self._send(job, emit, "ended", exit_code=how.exit_code, timed_out=how.timed_out, lost=how.lost)

    def _send(self, job: Job, emit: Emit, kind: str, **data: object) -> None:
        emit(Event(kind, self._clock(), job.test.id, job.attempt, data))


def _name(job: Job) -> str:
    return f"{job.test.id} prepare" if job.phase is Phase.PREPARE else job.test.id
