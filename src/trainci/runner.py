"""The one loop that owns state: starts tests as devices allow, turns what executors report into verdicts."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from trainci import schedule
from trainci.executors import ends, results
from trainci.executors.base import Executor, Job, Show
from trainci.history import metric_files
from trainci.log_files import diagnosed, rules_for
from trainci.model import events
from trainci.model.gates import Baseline
from trainci.model.run import NOT_REACHED, Attempt, Cause, Ending, Outcome, Phase, Result, Run, Verdict
from trainci.model.tests import Test
from trainci.paths import RunPaths
from trainci.plan import Plan
from trainci.verdict import decide as verdict
from trainci.verdict import gates
from trainci.verdict.circumstances import facts_of_attempt
from trainci.verdict.quarantine import excused
from trainci.verdict.suspects import may_be_of_devices


@dataclass
class _Trying:
    """The attempt of a test that is under way."""

    test: Test
    job: Job
    queued_at: float
    granted: bool = False
    started_at: float | None = None
    devices: tuple[str, ...] = ()


class Runner:
    """Runs one Plan. Only executors and signal handlers put events on its queue.

    ``listeners`` are told every event by the loop, and must not hold it up; ``show`` gets the output from the
    executor's threads. ``clock`` must not jump: durations are differences of it.
    """

    def __init__(
        self,
        plan: Plan,
        executor: Executor,
        paths: RunPaths,
        listeners: Sequence[events.Listener],
        show: Show,
        clock: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._executor = executor
        self._paths = paths
        self._listeners = listeners
        self._show = show
        self._clock = clock
        # SimpleQueue, because its put may be called from a signal handler.
        self._queue: queue.SimpleQueue[events.Control] = queue.SimpleQueue()
        self._waiting = [selected.test for selected in plan.fitting.selection.tests]
        self._position = {test.id: number for number, test in enumerate(self._waiting, start=1)}
        self._active: dict[str, _Trying] = {}
        self._prepared: dict[str, _Trying] = {}
        self._ended: dict[str, list[Attempt]] = {test.id: [] for test in self._waiting}
        self._results: dict[str, Result] = {}
        self._rules = rules_for(plan.verdicts)
        self._started_at: float | None = None
        self._unheard: list[Result] = []
        self._avoid: dict[str, frozenset[str]] = {}
        self._began: set[str] = set()
        self._stopping = False
        self._interrupted = False

    def interrupt(self) -> None:
        """End everything that runs, start nothing more, and still report. Safe in a signal handler."""
        self._queue.put(events.Interrupted(self._clock()))

    def resume(self, told: Sequence[events.Control]) -> None:
        """Take over from a runner that was killed: ``told`` is all that its listeners heard. Before ``run``."""
        listeners, self._listeners = self._listeners, ()
        for event in told:
            match event:
                case events.RunStarted():
                    self._started_at = event.at
                case events.Queued():
                    test = next(test for test in self._waiting if test.id == event.test_id)
                    phase = Phase.PREPARE if test.prepares_first else Phase.BOTH
                    self._active[test.id] = replace(self._begin(test, phase), queued_at=event.at)
                case events.Concluded() if event.test_id not in self._results:
                    self._results[event.test_id] = Result(event.test_id, event.verdict)
                case events.Granted() | events.Started() | events.Ended():
                    if event.test_id in self._prepared:
                        self._active[event.test_id] = self._prepared.pop(event.test_id)
                    self._handle(event)
        self._listeners = listeners
        heard = {event.test_id for event in told if isinstance(event, events.Concluded)}
        self._unheard = [result for test_id, result in self._results.items() if test_id not in heard]

    def run(self) -> Run:
        """Run the plan to its end."""
        started_at = self._announce()
        for trying in list(self._active.values()):
            self._start(trying)
        if self._stopping:
            self._stop()
        self._start_what_fits()
        while self._active:
            self._handle(self._queue.get())
            self._start_what_fits()
        for test in self._waiting:
            self._conclude(test.id, Verdict(Outcome.SKIPPED, NOT_REACHED[self._interrupted]))
        concluded = tuple(self._results.values())
        pool = self._executor.pool
        # What was skipped for another reason than its devices, the machine has nothing to do with.
        virtual = pool.virtual or not self._plan.fitting.skipped
        code = verdict.exit_code(concluded, interrupted=self._interrupted, virtual=virtual)
        ended_at = self._clock()
        self._tell(events.RunEnded(ended_at, code))
        return Run(
            id=self._plan.run_id,
            commit=self._plan.commit,
            started_at=started_at,
            ended_at=ended_at,
            results=concluded,
            devices=pool.sentence,
            exit_code=code,
            replay=self._plan.replay,
            files={item.test.id: item.test.file for item in self._plan.fitting.selection.tests if item.test.file},
        )

    def _announce(self) -> float:
        """Tell what is known before any test begins, as far as it was not told yet; when the run began."""
        plan, fitting = self._plan, self._plan.fitting
        tests = tuple(
            events.Planned(
                s.test.id,
                s.test.num_gpus,
                s.reason,
                plan.replay.get(s.test.id, ""),
                s.test.fail_on_flaky,
                s.test.file,
            )
            for s in fitting.selection.tests
        )
        started_at = self._started_at
        if started_at is None:
            started_at = self._clock()
            devices = self._executor.pool.sentence
            started = events.RunStarted(
                started_at, plan.run_id, plan.commit, devices, tests, plan.host, plan.on_base
            )
            self._tell(started)
        for result in self._unheard:
            self._conclude(result.test_id, result.verdict)
        for outcome, refused in (
            (Outcome.REFUSED, fitting.selection.refused),
            (Outcome.MACHINE, fitting.too_large),
            (Outcome.SKIPPED, (*fitting.skipped, *fitting.disabled)),
        ):
            for test in refused:
                if test.test_id not in self._results:
                    self._conclude(test.test_id, Verdict(outcome, test.sentence))
        return started_at

    def _start_what_fits(self) -> None:
        if self._stopping:
            return
        expected, slots = self._plan.expected, self._executor.cpu_slots
        running = [trying.test for trying in self._active.values() if trying.job.phase is not Phase.PREPARE]
        preparing = len(self._active) - len(running)
        first = [test for test in self._waiting if test.prepares_first]
        may_start = self._plan.jobs - len(self._active)
        for test in schedule.prepare_now(first, preparing, min(slots, preparing + may_start), expected):
            self._start(self._begin(test, Phase.PREPARE))
        ready = [test for test in self._waiting if not test.prepares_first]
        ready += [trying.test for trying in self._prepared.values()]
        may_start = self._plan.jobs - len(self._active)
        devices = self._executor.device_slots
        for test in schedule.start_now(ready, running, devices, slots, expected)[:may_start]:
            prepared = test.id in self._prepared
            self._start(self._prepared.pop(test.id) if prepared else self._begin(test, Phase.BOTH))

    def _begin(self, test: Test, phase: Phase) -> _Trying:
        self._waiting.remove(test)
        number = len(self._ended[test.id]) + 1
        log = self._paths.log(self._position[test.id], test.id, number)
        expected, avoid = self._plan.expected.get(test.id), self._avoid.get(test.id, frozenset())
        job = Job(test, number, log, phase, expected=expected, avoid=avoid)
        now = self._clock()
        image, why = self._plan.images.get(test.id, ""), self._why_again(test.id)
        self._tell(events.Queued(now, test.id, number, self._paths.shown(job.log), test.num_gpus, image, why))
        return _Trying(test, job, now)

    def _why_again(self, test_id: str) -> str:
        return verdict.why_again(self._ended[test_id], self._baseline(test_id))

    def _baseline(self, test_id: str) -> Baseline:
        return self._plan.baselines.get(test_id, verdict.NOTHING_KNOWN)

    def _start(self, trying: _Trying) -> None:
        self._active[trying.test.id] = trying
        self._executor.start(trying.job, lambda event: self._hear(trying.job, event), self._show)

    def _hear(self, job: Job, event: events.Control) -> None:
        """Take an executor's event, in its thread: a log of any length is read here, and not by the loop."""
        if isinstance(event, events.Ended) and event.final and not self._stopping and _says_something(event.ending):
            # A test writes its log: one that cannot be judged must not keep the loop from hearing of the end.
            with contextlib.suppress(Exception):
                facts = facts_of_attempt(event.ending, phased=job.test.phased)
                diagnosis = diagnosed(job.log, self._rules, facts, self._paths.root, lambda: self._stopping)
                event = replace(event, diagnosis=diagnosis)
        if isinstance(event, events.Ended) and event.ending.passed and event.final and job.test.metrics:
            recorded = metric_files.read(RunPaths.metrics(job.log))
            event = replace(event, measured=gates.measured(job.test.metrics, recorded))
        self._queue.put(event)

    def _handle(self, event: events.Control) -> None:
        match event:
            case events.Interrupted():
                # Before the listeners are told, which may take its time.
                self._interrupted = True
                self._stop()
            case events.Ended() if self._stopping and not event.ending.passed:
                event = replace(event, ending=replace(event.ending, cause=Cause.INTERRUPTED))
            case events.Granted() if self._active[event.test_id].granted:
                # An earlier runner has told it.
                return
            case events.Started() if self._active[event.test_id].started_at is not None:
                return
            case events.Granted():
                event = replace(event, device_kind=self._executor.pool.kind_of(event.devices))
        self._tell(event)
        match event:
            case events.Granted():
                self._active[event.test_id].granted = True
                self._active[event.test_id].devices = event.devices
            case events.Started():
                self._active[event.test_id].started_at = event.at
                self._began.add(event.test_id)
            case events.Ended(final=True):
                self._end(self._active.pop(event.test_id), event)
            case events.Ended():
                self._end_prepare(self._active.pop(event.test_id), event.at)

    def _end_prepare(self, trying: _Trying, at: float) -> None:
        spent = 0.0 if trying.started_at is None else at - trying.started_at
        job = replace(trying.job, phase=Phase.EXECUTE, spent=spent)
        self._prepared[trying.test.id] = replace(trying, job=job, granted=False, started_at=None)
        if self._stopping:
            self._abandon_prepared()

    def _end(self, trying: _Trying, event: events.Ended) -> None:
        attempts = self._ended[trying.test.id]
        attempts.append(self._ended_attempt(trying, event))
        # Not before every listener was told: one that goes on with this run would not find them.
        results.discard(trying.job)
        ends.discard(trying.job)
        self._suspect_devices(attempts[-1])
        decided = verdict.decide(attempts, self._plan.verdicts.retries, self._baseline(trying.test.id))
        if decided is None:
            self._waiting.append(trying.test)
            return
        self._conclude(trying.test.id, decided)
        if self._plan.fail_fast and verdict.fails(self._results[trying.test.id]):
            self._stop()

    def _suspect_devices(self, attempt: Attempt) -> None:
        """After a fault that may be its devices', the next attempt goes elsewhere; who looks after them is told."""
        alone = verdict.ruling(attempt)
        if attempt.devices and may_be_of_devices(alone):
            test_id = attempt.test.id
            self._avoid[test_id] = self._avoid.get(test_id, frozenset()) | set(attempt.devices)
            self._executor.suspect(attempt.devices, f"{test_id}: {alone.sentence}", broken=False)

    def _ended_attempt(self, trying: _Trying, event: events.Ended) -> Attempt:
        return Attempt(
            test=trying.test,
            number=trying.job.attempt,
            queued_at=trying.queued_at,
            started_at=None if event.phase is Phase.PREPARE else trying.started_at,
            ended_at=event.at,
            ending=event.ending,
            log=self._paths.shown(trying.job.log),
            devices=trying.devices,
            phase=event.phase,
            results=event.results,
            diagnosis=event.diagnosis,
            measured=event.measured,
            failures=event.failures,
            kind=self._executor.pool.kind_of(trying.devices),
            image=self._plan.images.get(trying.test.id, ""),
        )

    def _stop(self) -> None:
        self._stopping = True
        for trying in self._active.values():
            self._executor.stop(trying.job)
        self._abandon_prepared()

    def _abandon_prepared(self) -> None:
        """End the attempts that no executor has, so that no other part will say that they have ended."""
        for test_id, trying in self._prepared.items():
            ending = Ending(Cause.INTERRUPTED)
            self._queue.put(events.Ended(self._clock(), test_id, trying.job.attempt, Phase.EXECUTE, ending))
        self._active |= self._prepared
        self._prepared.clear()

    def _conclude(self, test_id: str, decided: Verdict) -> None:
        attempts = tuple(self._ended.get(test_id, ()))
        # What was never started is not known to be bad: that it does not run again would be told nowhere.
        if test_id in self._began:
            decided = excused(decided, self._plan.excuses.get(test_id, ""))
        self._results[test_id] = Result(test_id, decided, attempts)
        self._tell(events.Concluded(self._clock(), test_id, len(attempts), decided))

    def _tell(self, event: events.Control) -> None:
        for listener in self._listeners:
            listener(event)


def _says_something(ending: Ending) -> bool:
    """Whether the log may tell why it ended so."""
    return not ending.passed and ending.cause in (Cause.EXITED, Cause.SIGNALLED, Cause.TIMED_OUT, Cause.HUNG)
