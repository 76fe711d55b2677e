"""The one loop that owns state: starts tests as devices allow, turns what executors report into verdicts."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainci import schedule
from trainci.executors.base import Executor, Job, Phase
from trainci.model import Attempt, Event, Outcome, Pool, Result, Run, Test, Verdict
from trainci.paths import RunPaths
from trainci.schedule import Fitting
from trainci.verdict import decide as verdict

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Plan:
    """What a run is to do and with what.

    ``expected`` maps test ids to seconds, ``replay`` to the command that runs each test alone.
    """

    run_id: str
    commit: str
    fitting: Fitting
    pool: Pool
    cpu_slots: int
    expected: Mapping[str, float]
    replay: Mapping[str, str]
    fail_fast: bool = False


@dataclass
class _Trying:
    """The attempt of a test that is under way."""

    test: Test
    job: Job
    queued_at: float
    started_at: float | None = None
    devices: tuple[str, ...] = ()


class Runner:
    """Runs one Plan. Executors, signal handlers and nobody else put events on its queue."""

    def __init__(
        self,
        plan: Plan,
        executor: Executor,
        paths: RunPaths,
        listeners: Sequence[Listener],
        clock: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._executor = executor
        self._paths = paths
        self._listeners = listeners
        self._clock = clock
        # SimpleQueue, because its put may be called from a signal handler.
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._waiting = [selected.test for selected in plan.fitting.selection.tests]
        self._position = {test.id: number for number, test in enumerate(self._waiting, start=1)}
        self._preparing: dict[str, _Trying] = {}
        self._prepared: dict[str, _Trying] = {}
        self._running: dict[str, _Trying] = {}
        self._ended: dict[str, list[Attempt]] = {test.id: [] for test in self._waiting}
        self._results: dict[str, Result] = {}
        self._stopping = False
        self._interrupted = False

    def interrupt(self) -> None:
        """End everything that runs, start nothing more, and still report. Safe in a signal handler."""
        self._events.put(Event("interrupted", self._clock()))

    def run(self) -> Run:
        """Run the plan to its end."""
        started_at = self._clock()
        self._announce()
        self._start_what_fits()
        while self._preparing or self._running:
            self._handle(self._events.get())
            self._start_what_fits()
        for test in self._waiting:
            word = "interrupted before it was started" if self._interrupted else "not started: --fail-fast"
            self._conclude(test.id, Verdict(Outcome.SKIPPED, word))
        results = tuple(self._results.values())
        code = verdict.exit_code(results, interrupted=self._interrupted, virtual=self._plan.pool.virtual)
        ended_at = self._clock()
        self._tell(Event("run_ended", ended_at, data={"exit_code": code}))
        return Run(
            id=self._plan.run_id,
            commit=self._plan.commit,
            started_at=started_at,
            ended_at=ended_at,
            results=results,
            devices=self._plan.pool.sentence,
            exit_code=code,
            replay=self._plan.replay,
        )

    def _announce(self) -> None:
        plan = self._plan
        tests = [
            {"id": s.test.id, "gpus": s.test.num_gpus, "reason": s.reason} for s in plan.fitting.selection.tests
        ]
        data = {"run": plan.run_id, "commit": plan.commit, "tests": tests, "devices": plan.pool.sentence}
        self._tell(Event("run_started", self._clock(), data=data))
        for refused in plan.fitting.selection.refused:
            self._conclude(refused.test_id, Verdict(Outcome.REFUSED, refused.sentence))
        for refused in plan.fitting.too_large:
            self._conclude(refused.test_id, Verdict(Outcome.MACHINE, refused.sentence))
        for skipped in plan.fitting.skipped:
            self._conclude(skipped.test_id, Verdict(Outcome.SKIPPED, skipped.sentence))

    def _start_what_fits(self) -> None:
        if self._stopping:
            return
        plan = self._plan
        first = [test for test in self._waiting if test.prepares_first]
        for test in schedule.prepare_now(first, len(self._preparing), plan.cpu_slots, plan.expected):
            self._preparing[test.id] = trying = self._begin(test, Phase.PREPARE)
            self._executor.start(trying.job, self._put_of_prepare)
        ready = [test for test in self._waiting if not test.prepares_first]
        ready += [trying.test for trying in self._prepared.values()]
        running = [trying.test for trying in self._running.values()]
        devices = len(plan.pool.devices)
        for test in schedule.start_now(ready, running, devices, plan.cpu_slots, plan.expected):
            prepared = self._prepared.pop(test.id) if test.id in self._prepared else None
            self._running[test.id] = trying = prepared or self._begin(test, Phase.BOTH)
            self._executor.start(trying.job, self._events.put)

    def _begin(self, test: Test, phase: Phase) -> _Trying:
        self._waiting.remove(test)
        number = len(self._ended[test.id]) + 1
        job = Job(test, number, self._paths.log(self._position[test.id], test.id, number), phase)
        now = self._clock()
        log = self._paths.shown(job.log)
        self._tell(Event("queued", now, test.id, number, {"log": log, "gpus": test.num_gpus}))
        return _Trying(test, job, now)

    def _put_of_prepare(self, event: Event) -> None:
        """Put an event of a prepare phase, which to everybody else is a part of an attempt that goes on."""
        kind = {"started": "preparing", "output": "output", "ended": "prepared"}.get(event.kind)
        if kind is not None:
            self._events.put(replace(event, kind=kind))

    def _handle(self, event: Event) -> None:
        self._tell(event)
        if event.kind == "interrupted":
            self._interrupted = True
            self._stop()
        elif event.kind == "preparing":
            self._preparing[event.test_id].started_at = event.at
        elif event.kind == "prepared":
            self._end_prepare(self._preparing.pop(event.test_id), event)
        elif event.kind == "granted":
            self._running[event.test_id].devices = tuple(event.data["devices"])
        elif event.kind == "started":
            self._running[event.test_id].started_at = event.at
        elif event.kind == "ended":
            self._end(self._running.pop(event.test_id), event)

    def _end_prepare(self, trying: _Trying, event: Event) -> None:
        data = event.data
        if self._stopping or data["exit_code"] != 0 or data["timed_out"] or data["lost"]:
            ended = replace(event, kind="ended")
            self._tell(ended)
            self._end(trying, ended)
            return
        spent = 0.0 if trying.started_at is None else event.at - trying.started_at
        job = replace(trying.job, phase=Phase.EXECUTE, spent=spent)
        self._prepared[trying.test.id] = replace(trying, job=job, started_at=None)

    def _end(self, trying: _Trying, event: Event) -> None:
        attempts = self._ended[trying.test.id]
        attempts.append(self._ended_attempt(trying, event.at, event.data))
        decided = verdict.decide(attempts)
        if decided is None:
            self._waiting.append(trying.test)
            return
        self._conclude(trying.test.id, decided)
        if decided.outcome is not Outcome.PASSED and self._plan.fail_fast:
            self._stop()

    def _ended_attempt(self, trying: _Trying, at: float, data: Mapping[str, Any]) -> Attempt:
        in_prepare = trying.job.phase is Phase.PREPARE
        return Attempt(
            test=trying.test,
            number=trying.job.attempt,
            queued_at=trying.queued_at,
            started_at=None if in_prepare else trying.started_at,
            ended_at=at,
            exit_code=data["exit_code"],
            log=self._paths.shown(trying.job.log),
            devices=trying.devices,
            timed_out=data["timed_out"],
            # A test that passed before the order to stop reached it has passed.
            interrupted=self._stopping and (in_prepare or data["exit_code"] != 0),
            in_prepare=in_prepare,
            lost=data["lost"],
        )

    def _stop(self) -> None:
        self._stopping = True
        for trying in (*self._preparing.values(), *self._running.values()):
            self._executor.stop(trying.job)
        for trying in self._prepared.values():
            # No executor has it, so nobody else will say that it has ended.
            data = {"exit_code": None, "timed_out": False, "lost": ""}
            self._events.put(Event("ended", self._clock(), trying.test.id, trying.job.attempt, data))
        self._running.update(self._prepared)
        self._prepared.clear()

    def _conclude(self, test_id: str, decided: Verdict) -> None:
        attempts = tuple(self._ended.get(test_id, ()))
        self._results[test_id] = Result(test_id, decided, attempts)
        data = {"outcome": decided.outcome.value, "sentence": decided.sentence}
        self._tell(Event("verdict", self._clock(), test_id, len(attempts), data))

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
