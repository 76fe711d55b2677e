"""The one loop that owns state: starts tests as devices allow, turns what executors report into verdicts."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trainci import schedule, verdict
from trainci.executors.base import Executor, Job
from trainci.model import Attempt, Event, Outcome, Pool, Refused, Result, Run, Selection, Test, Verdict
from trainci.paths import RunPaths

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Plan:
    """What a run is to do and with what.

    ``expected`` maps test ids to seconds, ``replay`` to the command that runs each test alone.
    """

    run_id: str
    commit: str
    selection: Selection
    too_large: tuple[Refused, ...]
    pool: Pool
    cpu_slots: int
    expected: Mapping[str, float]
    replay: Mapping[str, str]
    fail_fast: bool = False


@dataclass
class _Trying:
    """A test on its way: the attempt in flight and those that have ended."""

    test: Test
    job: Job
    queued_at: float
    started_at: float | None = None
    devices: tuple[str, ...] = ()
    ended: list[Attempt] = field(default_factory=list)


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
        self._waiting = [selected.test for selected in plan.selection.tests]
        self._position = {test.id: number for number, test in enumerate(self._waiting, start=1)}
        self._running: dict[str, _Trying] = {}
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
        while self._running:
            self._handle(self._events.get())
            self._start_what_fits()
        for test in self._waiting:
            word = "interrupted before it was started" if self._interrupted else "not started: --fail-fast"
            self._conclude(test.id, Verdict(Outcome.SKIPPED, word), ())
        results = tuple(self._results.values())
        code = verdict.exit_code(results, interrupted=self._interrupted)
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
        tests = [{"id": s.test.id, "gpus": s.test.num_gpus, "reason": s.reason} for s in plan.selection.tests]
        data = {"run": plan.run_id, "commit": plan.commit, "tests": tests, "devices": plan.pool.sentence}
        self._tell(Event("run_started", self._clock(), data=data))
        for refused in plan.selection.refused:
            self._conclude(refused.test_id, Verdict(Outcome.REFUSED, refused.sentence), ())
        for refused in plan.too_large:
            self._conclude(refused.test_id, Verdict(Outcome.MACHINE, refused.sentence), ())

    def _start_what_fits(self) -> None:
        if self._stopping:
            return
        plan = self._plan
        devices = len(plan.pool.devices)
        running = [trying.test for trying in self._running.values()]
        for test in schedule.start_now(self._waiting, running, devices, plan.cpu_slots, plan.expected):
            self._waiting.remove(test)
            self._attempt(test, [])

    def _attempt(self, test: Test, ended: list[Attempt]) -> None:
        number = len(ended) + 1
        job = Job(test, number, self._paths.log(self._position[test.id], test.id, number))
        now = self._clock()
        self._running[test.id] = _Trying(test, job, now, ended=ended)
        log = self._paths.shown(job.log)
        self._tell(Event("queued", now, test.id, number, {"log": log, "gpus": test.num_gpus}))
        self._executor.start(job, self._events.put)

    def _handle(self, event: Event) -> None:
        self._tell(event)
        if event.kind == "interrupted":
            self._interrupted = True
            self._stop()
            return
        trying = self._running[event.test_id]
        if event.kind == "granted":
            trying.devices = tuple(event.data["devices"])
        elif event.kind == "started":
            trying.started_at = event.at
        elif event.kind == "ended":
            self._end(trying, event)

    def _end(self, trying: _Trying, event: Event) -> None:
        attempt = self._ended_attempt(trying, event.at, event.data)
        attempts = [*trying.ended, attempt]
        del self._running[trying.test.id]
        decided = verdict.decide(attempts)
        if decided is None:
            self._attempt(trying.test, attempts)
            return
        self._conclude(trying.test.id, decided, tuple(attempts))
        if decided.outcome is not Outcome.PASSED and self._plan.fail_fast:
            self._stop()

    def _ended_attempt(self, trying: _Trying, at: float, data: Mapping[str, Any]) -> Attempt:
        attempt = Attempt(
            test=trying.test,
            number=trying.job.attempt,
            queued_at=trying.queued_at,
            started_at=trying.started_at,
            ended_at=at,
            exit_code=data["exit_code"],
            log=self._paths.shown(trying.job.log),
            devices=trying.devices,
            timed_out=data["timed_out"],
            lost=data["lost"],
        )
        # A test that passed before the order to stop reached it has passed.
        return replace(attempt, interrupted=self._stopping and attempt.exit_code != 0)

    def _stop(self) -> None:
        self._stopping = True
        for trying in self._running.values():
            self._executor.stop(trying.job)

    def _conclude(self, test_id: str, decided: Verdict, attempts: tuple[Attempt, ...]) -> None:
        self._results[test_id] = Result(test_id, decided, attempts)
        data = {"outcome": decided.outcome.value, "sentence": decided.sentence}
        self._tell(Event("verdict", self._clock(), test_id, len(attempts), data))

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
