"""The runner's loop against the fake executor: real listeners, scripted attempts, a counted clock."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest

from trainci.executors.base import Emit, Job, Show
from trainci.executors.fake import FakeExecutor, Scripted
from trainci.model import events
from trainci.model.device import Device, Pool
from trainci.model.project import Verdicts
from trainci.model.run import Cause, Ending, Outcome, Phase, Run
from trainci.model.seen import Seen
from trainci.model.selection import Refused, Selected, Selection
from trainci.model.tests import Test
from trainci.paths import RunPaths, StatePaths
from trainci.plan import Plan
from trainci.runner import Runner
from trainci.schedule import Fitting


def make_test(name: str, gpus: int = 1, timeout: float = 60.0, phased: bool = False) -> Test:
    return Test(id=name, file=name, num_gpus=gpus, timeout=timeout, phased=phased)


def exits(code: int) -> Scripted:
    return Scripted(Ending(Cause.EXITED, code))


LOST = Scripted(Ending(Cause.LOST, detail="the disk is full"))
HANGS = Scripted(hangs=True)
RAISED = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    run()\n'


class PassesWhenStopped(FakeExecutor):
    def stop(self, job: Job) -> None:
        if emit := self._hanging.pop(job, None):
            self._end(job, emit, exits(0))


class NeverStarts(FakeExecutor):
    def start(self, job: Job, emit: Emit, show: Show) -> None:
        emit(events.Ended(self._clock(), job.test.id, job.attempt, job.phase, LOST.ending))


class Shown(list[events.Output]):
    """A Show that keeps it all."""

    def __call__(self, output: events.Output, /) -> None:
        self.append(output)

    def has_room(self) -> bool:
        return True


class Bench:
    """One runner with its events recorded."""

    def __init__(
        self, tmp_path: Path, tests: list[Test], script: dict[str, list[Scripted]], **plan: object
    ) -> None:
        ticks = itertools.count(1000)
        self.clock = lambda: float(next(ticks))
        self.events: list[events.Control] = []
        self.shown = Shown()
        devices = tuple(Device(i, f"cpu-{i}", "virtual", virtual=True) for i in range(8))
        self.executor = FakeExecutor(script, self.clock, Pool(devices, virtual=True))
        defaults: dict[str, object] = {
            "run_id": "run-1",
            "commit": "c0ffee",
            "fitting": Fitting(Selection(tuple(Selected(test, "because") for test in tests)), (), ()),
            "expected": {},
            "replay": {},
        }
        self.plan = Plan(**{**defaults, **plan})  # type: ignore[arg-type]
        self.paths = RunPaths(StatePaths(tmp_path), "run-1")
        self.runner = Runner(self.plan, self.executor, self.paths, [self.events.append], self.shown, self.clock)

    def run(self) -> Run:
        return self.runner.run()

    def kinds(self, test_id: str) -> list[str]:
        """The names of a test's events; those of its prepare phase say so."""
        told = [event for event in self.events if isinstance(event, events.TestEvent) and event.test_id == test_id]
        return [
            type(event).__name__ + (" prepare" if getattr(event, "phase", None) is Phase.PREPARE else "")
            for event in told
        ]

    def only(self, kind: type, phase: Phase) -> events.PhaseEvent:
        (found,) = (event for event in self.events if isinstance(event, kind) and event.phase is phase)
        return found


def outcomes(run: Run) -> dict[str, str]:
    return {result.test_id: result.verdict.outcome.value for result in run.results}


@pytest.mark.parametrize("heard", [1, 2, 3, 4])
@pytest.mark.parametrize("phased", [False, True])
def test_what_a_killed_runner_told_of_an_attempt_is_not_told_again(tmp_path, heard, phased):
    """Whatever it had come to tell: the executor tells the next runner all of it."""
    test = make_test("a.py", phased=phased)
    whole = Bench(tmp_path, [test], {})
    whole.run()
    next_one = Bench(tmp_path, [test], {})
    next_one.runner.resume(whole.events[:heard])
    next_one.run()
    assert [*whole.kinds("a.py")[: heard - 1], *next_one.kinds("a.py")] == whole.kinds("a.py")


def test_what_a_test_left_is_removed_once_every_listener_was_told_of_it(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py")], {})
    left = RunPaths.results(bench.paths.log(1, "a.py", 1))
    left.parent.mkdir(parents=True)
    left.write_text("<testsuites/>")
    told = []

    def listen(event):
        if isinstance(event, events.Ended):
            told.append(left.exists())

    Runner(bench.plan, bench.executor, bench.paths, [listen], bench.shown, bench.clock).run()
    assert (told, left.exists()) == ([True], False)


def test_all_passed_is_exit_0_and_every_step_is_an_event(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py"), make_test("b.py")], {})
    run = bench.run()
    assert outcomes(run) == {"a.py": "passed", "b.py": "passed"}
    assert run.exit_code == 0
    assert bench.kinds("a.py") == ["Queued", "Granted", "Started", "Ended", "Concluded"]
    first, *_, last = bench.events
    assert isinstance(first, events.RunStarted) and [test.test_id for test in first.tests] == ["a.py", "b.py"]
    assert last == events.RunEnded(run.ended_at, 0)


def test_a_failed_test_is_exit_1_and_the_rest_still_runs(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py", 8), make_test("b.py", 8)], {"a.py": [exits(3)]})
    run = bench.run()
    assert outcomes(run) == {"a.py": "failed", "b.py": "passed"}
    assert run.exit_code == 1
    assert run.results[0].verdict.sentence == "exit code 3"


def test_longest_expected_first(tmp_path):
    tests = [make_test("short.py", 8), make_test("long.py", 8), make_test("unknown.py", 8, timeout=500)]
    bench = Bench(tmp_path, tests, {}, expected={"short.py": 5.0, "long.py": 50.0})
    bench.run()
    assert bench.executor.started == ["unknown.py", "long.py", "short.py"]


def test_never_more_devices_than_there_are(tmp_path):
    """Every attempt hangs until it is stopped, so what is started at once is all that fits at once."""
    tests = [make_test(f"t{i}.py", gpus) for i, gpus in enumerate([4, 4, 4, 1])]
    bench = Bench(tmp_path, tests, {test.id: [HANGS] for test in tests})
    bench.runner.interrupt()
    run = bench.run()
    started = set(bench.executor.started)
    assert sum(test.num_gpus for test in tests if test.id in started) <= 8
    assert len(started) == 2
    assert run.exit_code == 130


HUB_FAILS = Scripted(
    Ending(Cause.EXITED, 1),
    "Traceback (most recent call last):\n"
    "huggingface_hub.errors.HfHubHTTPError: 503 Server Error: Service Unavailable for url: https://huggingface.co/x\n",
)
ASSERTS = Scripted(
    Ending(Cause.EXITED, 1),
    "Traceback (most recent call last):\nAssertionError: 503 Server Error of huggingface.co\n",
)


def test_what_the_log_says_is_the_machines_fault_is_tried_again_as_often_as_the_repository_says(tmp_path):
    script = {"once.py": [HUB_FAILS], "always.py": [HUB_FAILS] * 9, "red.py": [ASSERTS, ASSERTS]}
    tests = [make_test(name) for name in script]
    for retries, expected in ((1, (2, 2, 1)), (0, (1, 1, 1)), (3, (2, 4, 1))):
        run = Bench(tmp_path / str(retries), tests, script, verdicts=Verdicts(retries=retries)).run()
        attempts = {result.test_id: len(result.attempts) for result in run.results}
        assert tuple(attempts[name] for name in script) == expected
        words = outcomes(run)
        assert words["always.py"] == "machine's fault" and words["red.py"] == "failed"
        assert words["once.py"] == ("passed" if retries else "machine's fault")


@pytest.mark.parametrize(
    ("seen", "output", "outcome"),
    [
        (Seen(xid=(79,)), "", "machine's fault"),
        (Seen(xid=(31,)), "", "failed"),
        (Seen(device_lost=True), "RuntimeError: NCCL error: unhandled cuda error\n", "machine's fault"),
        (Seen(foreign_memory=True), "torch.OutOfMemoryError: CUDA out of memory.\n", "machine's fault"),
        (Seen(foreign_memory=False), "torch.OutOfMemoryError: CUDA out of memory.\n", "failed"),
        (Seen(clock_jumped=True), "RuntimeError: Socket Timeout\n", "machine's fault"),
        (Seen(ecc=True), f"{RAISED}AssertionError: 0.1 < 0.2\n", "unsure"),
        (Seen(disk_full=True), f"{RAISED}AssertionError: 0.1 < 0.2\n", "failed"),
        (Seen(kernel_oom=True), "", "unsure"),
    ],
)
def test_what_the_lease_saw_is_evidence_of_a_verdict(tmp_path, seen, output, outcome):
    scripted = Scripted(Ending(Cause.EXITED, 1, seen=seen), output)
    run = Bench(tmp_path, [make_test("a.py")], {"a.py": [scripted, scripted]}).run()
    assert outcomes(run) == {"a.py": outcome}


def test_a_verdict_carries_its_rule_its_evidence_and_the_place(tmp_path):
    bench = Bench(tmp_path, [make_test("red.py")], {"red.py": [ASSERTS]})
    (result,) = bench.run().results
    said = result.verdict.diagnosis
    assert (said.blame.value, said.rule, said.line) == ("code", "assertion", 2)
    assert said.evidence == "AssertionError: 503 Server Error of huggingface.co"
    (concluded,) = (event for event in bench.events if isinstance(event, events.Concluded))
    assert concluded.verdict == result.verdict


def test_the_machines_fault_is_tried_again_once_and_a_red_test_never(tmp_path):
    script = {"once.py": [LOST], "twice.py": [LOST, LOST], "red.py": [exits(1)]}
    bench = Bench(tmp_path, [make_test(name) for name in script], script)
    run = bench.run()
    assert outcomes(run) == {"once.py": "passed", "twice.py": "machine's fault", "red.py": "failed"}
    assert {result.test_id: len(result.attempts) for result in run.results} == {
        "once.py": 2,
        "twice.py": 2,
        "red.py": 1,
    }
    logs = [attempt.log for result in run.results for attempt in result.attempts]
    assert len(set(logs)) == len(logs), "each attempt has a log of its own"


def test_after_a_fault_that_may_be_its_devices_the_next_attempt_goes_elsewhere_and_the_suspect_is_noted(tmp_path):
    broken = Scripted(Ending(Cause.EXITED, 1, seen=Seen(xid=(79,))))
    bench = Bench(tmp_path, [make_test("gpu.py")], {"gpu.py": [broken]})
    assert outcomes(bench.run()) == {"gpu.py": "passed"}
    assert bench.executor.avoided == [frozenset(), frozenset({"fake-0"})]
    assert bench.executor.suspected == [
        (("fake-0",), "gpu.py: a device reported a fault of its hardware (Xid 79)"),
    ]
    hub = Scripted(
        Ending(Cause.EXITED, 1), f"{RAISED}socket.gaierror: [Errno -3] Temporary failure in name resolution\n"
    )
    bench = Bench(tmp_path / "hub", [make_test("gpu.py")], {"gpu.py": [hub]})
    assert outcomes(bench.run()) == {"gpu.py": "passed"}
    assert bench.executor.avoided == [frozenset(), frozenset()] and bench.executor.suspected == []


def test_the_machines_fault_alone_is_exit_3(tmp_path):
    run = Bench(tmp_path, [make_test("a.py")], {"a.py": [LOST, LOST]}).run()
    assert run.exit_code == 3
    assert run.results[0].verdict.sentence == "the disk is full"


def test_a_test_in_quarantine_that_never_started_is_not_excused(tmp_path):
    """As a job of Slurm's that got no node: what does not run at all is no flake."""
    for executor, code in ((NeverStarts, 3), (FakeExecutor, 0)):
        bench = Bench(tmp_path, [make_test("a.py")], {"a.py": [LOST] * 2}, excuses={"a.py": "known"})
        bench.executor.__class__ = executor
        run = bench.run()
        assert (run.exit_code, outcomes(run)) == (code, {"a.py": "machine's fault"})


def test_a_time_limit_is_a_verdict_of_its_own(tmp_path):
    run = Bench(tmp_path, [make_test("a.py")], {"a.py": [Scripted(Ending(Cause.TIMED_OUT, signal=15))]}).run()
    assert outcomes(run) == {"a.py": "timed out"}
    assert run.exit_code == 1


def test_refused_too_large_and_skipped_tests_are_told_and_the_rest_still_runs(tmp_path):
    selection = Selection((Selected(make_test("good.py"), "why"),), (Refused("bad.py", "bad.py:3: no constant"),))
    too_large, skipped = Refused("big.py", "needs 16 devices"), Refused("gpu.py", "runs on GPUs only")
    bench = Bench(tmp_path, [], {}, fitting=Fitting(selection, (too_large,), (skipped,)))
    run = bench.run()
    told = {"bad.py": "refused", "big.py": "machine's fault", "gpu.py": "skipped", "good.py": "passed"}
    assert outcomes(run) == told
    assert run.exit_code == 2
    assert bench.executor.started == ["good.py"]


@pytest.mark.parametrize(("why", "code"), [("skipped", 3), ("disabled", 0)])
def test_only_what_its_devices_left_out_is_the_machines_on_a_host_with_gpus(tmp_path, why, code):
    left_out = {"skipped": (), "disabled": (), why: (Refused("a.py", "no"),)}
    bench = Bench(tmp_path, [], {}, fitting=Fitting(Selection(), (), **left_out))
    bench.executor.pool = Pool((), virtual=False)
    run = bench.run()
    assert (outcomes(run), run.exit_code) == ({"a.py": "skipped"}, code)


def test_fail_fast_ends_what_runs_and_starts_nothing_more(tmp_path):
    tests = [make_test("hangs.py", 4), make_test("red.py", 4), make_test("later.py", 8, timeout=1)]
    script = {"hangs.py": [HANGS], "red.py": [exits(1)]}
    bench = Bench(tmp_path, tests, script, fail_fast=True)
    run = bench.run()
    assert outcomes(run) == {"red.py": "failed", "hangs.py": "interrupted", "later.py": "skipped"}
    assert run.exit_code == 1
    assert "later.py" not in bench.executor.started


def test_an_interrupt_ends_everything_and_still_concludes_every_test(tmp_path):
    tests = [make_test("runs.py", 8), make_test("waits.py", 8, timeout=1)]
    bench = Bench(tmp_path, tests, {"runs.py": [HANGS]})
    bench.runner.interrupt()
    run = bench.run()
    assert outcomes(run) == {"runs.py": "interrupted", "waits.py": "skipped"}
    assert run.exit_code == 130


def test_an_interrupt_waits_for_no_log_that_is_being_read(tmp_path):
    class Judged(FakeExecutor):
        def start(self, job: Job, emit: Emit, show: Show) -> None:
            judges = threading.Event()

            def ended(event: events.Control) -> None:
                if isinstance(event, events.Ended):
                    judges.set()
                emit(event)

            threading.Thread(target=super().start, args=(job, ended, show)).start()
            judges.wait(60)

    said = "".join(f"{number:x} waits for {number}\n" for number in range(1 << 16))
    bench = Bench(
        tmp_path,
        [make_test("a.py")],
        {"a.py": [Scripted(Ending(Cause.EXITED, 1), f"{said}{RAISED}ValueError: last\n")]},
    )
    bench.executor.__class__ = Judged
    bench.runner.interrupt()
    (result,) = bench.run().results
    diagnosis = result.attempts[0].diagnosis
    assert diagnosis is None or diagnosis.line < 1 << 16


def test_a_test_that_passed_before_the_stop_reached_it_has_passed(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py")], {"a.py": [HANGS]})
    bench.executor.__class__ = PassesWhenStopped
    bench.runner.interrupt()
    assert outcomes(bench.run()) == {"a.py": Outcome.PASSED.value}


def test_a_test_whose_prepare_phase_passed_before_the_stop_reached_it_has_not_passed(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py", phased=True)], {"a.py prepare": [HANGS]})
    bench.executor.__class__ = PassesWhenStopped
    bench.runner.interrupt()
    assert outcomes(bench.run()) == {"a.py": Outcome.INTERRUPTED.value}
    assert bench.executor.started == ["a.py prepare"]


def test_events_may_come_from_any_thread(tmp_path):
    class Threaded(FakeExecutor):
        def start(self, job: Job, emit: Emit, show: Show) -> None:
            threading.Thread(target=super().start, args=(job, emit, show)).start()

    tests = [make_test(f"t{i}.py") for i in range(40)]
    bench = Bench(tmp_path, tests, {})
    bench.executor.__class__ = Threaded
    run = bench.run()
    assert len(run.results) == 40
    assert run.exit_code == 0


@pytest.mark.parametrize("count", [0, 1])
def test_an_empty_plan_ends_at_once(tmp_path, count):
    run = Bench(tmp_path, [make_test("a.py")][:count], {}).run()
    assert len(run.results) == count


def test_a_test_with_phases_is_prepared_before_it_takes_devices(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py", phased=True)], {})
    run = bench.run()
    assert bench.executor.started == ["a.py prepare", "a.py"]
    assert bench.kinds("a.py") == [
        *("Queued", "Granted prepare", "Started prepare", "Ended prepare"),
        *("Granted", "Started", "Ended", "Concluded"),
    ]
    assert outcomes(run) == {"a.py": "passed"}
    (attempt,) = run.results[0].attempts
    assert attempt.devices == ("fake-0",)
    started = bench.only(events.Started, Phase.EXECUTE)
    assert attempt.started_at == started.at, "what is remembered is how long it holds its devices"


def test_a_cpu_test_has_nothing_to_gain_from_a_process_more(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py", gpus=0, phased=True)], {})
    bench.run()
    assert bench.executor.started == ["a.py"]


def test_the_prepare_phase_of_one_test_overlaps_with_the_execution_of_another(tmp_path):
    """The devices are all taken by a test that hangs, and the other one is prepared all the same."""
    tests = [make_test("hangs.py", 8), make_test("next.py", 8, phased=True, timeout=1)]
    bench = Bench(tmp_path, tests, {"hangs.py": [HANGS]}, fail_fast=True)
    bench.executor._script["next.py prepare"] = [exits(1)]
    run = bench.run()
    assert set(bench.executor.started) == {"hangs.py", "next.py prepare"}
    assert outcomes(run) == {"next.py": "failed", "hangs.py": "interrupted"}


def test_no_more_tests_are_prepared_at_once_than_there_are_cores(tmp_path):
    tests = [make_test(f"t{i}.py", phased=True) for i in range(5)]
    hangs = {f"{test.id} prepare": [HANGS] for test in tests}
    bench = Bench(tmp_path, tests, hangs)
    bench.runner.interrupt()
    run = bench.run()
    assert len(bench.executor.started) == 2
    assert sorted(outcomes(run).values()) == ["interrupted"] * 2 + ["skipped"] * 3


@pytest.mark.parametrize(
    ("ending", "outcome", "sentence"),
    [
        (exits(1), "failed", "in its prepare phase: exit code 1"),
        (
            Scripted(Ending(Cause.SIGNALLED, signal=9)),
            "unsure",
            "in its prepare phase: SIGKILL ended it: somebody's, or the kernel's",
        ),
        (
            Scripted(Ending(Cause.TIMED_OUT, signal=15)),
            "timed out",
            "in its prepare phase: ended by its time limit of 60 s",
        ),
        (
            exits(3),
            "machine's fault",
            "in its prepare phase: the test found the machine at fault (exit code 3)",
        ),
        (LOST, "machine's fault", "in its prepare phase: the disk is full"),
    ],
)
def test_a_failed_prepare_phase_is_told_as_such_and_nothing_is_executed(tmp_path, ending, outcome, sentence):
    bench = Bench(tmp_path, [make_test("a.py", phased=True)], {"a.py prepare": [ending] * 2})
    run = bench.run()
    assert "a.py" not in bench.executor.started
    assert outcomes(run) == {"a.py": outcome}
    assert run.results[0].verdict.sentence == sentence
    assert bench.kinds("a.py")[-3:] == ["Started prepare", "Ended prepare", "Concluded"]
    assert run.results[0].attempts[-1].log.endswith(".log")


def test_a_machine_fault_in_the_prepare_phase_is_tried_again_with_both_phases(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py", phased=True)], {"a.py prepare": [exits(3), Scripted()]})
    run = bench.run()
    assert bench.executor.started == ["a.py prepare", "a.py prepare", "a.py"]
    assert outcomes(run) == {"a.py": "passed"}
    assert [attempt.phase for attempt in run.results[0].attempts] == [Phase.PREPARE, Phase.EXECUTE]


def test_what_the_prepare_phase_took_is_taken_off_the_time_limit(tmp_path):
    jobs: list[Job] = []

    class Recording(FakeExecutor):
        def start(self, job: Job, emit: Emit, show: Show) -> None:
            jobs.append(job)
            super().start(job, emit, show)

    bench = Bench(tmp_path, [make_test("a.py", timeout=60, phased=True)], {})
    bench.executor.__class__ = Recording
    bench.run()
    began, ended = (bench.only(kind, Phase.PREPARE).at for kind in (events.Started, events.Ended))
    assert [job.time_limit for job in jobs] == [60, 60 - (ended - began)]


def test_a_test_that_waits_prepared_for_devices_is_interrupted_with_the_rest(tmp_path):
    tests = [make_test("hangs.py", 8), make_test("next.py", 8, phased=True, timeout=1)]
    bench = Bench(tmp_path, tests, {"hangs.py": [HANGS]})

    class InterruptedOncePrepared(type(bench.runner)):
        def _handle(self, event: events.Control) -> None:
            super()._handle(event)
            if isinstance(event, events.Ended) and not event.final:
                self.interrupt()

    bench.runner.__class__ = InterruptedOncePrepared
    run = bench.run()
    assert "next.py" not in bench.executor.started
    assert outcomes(run) == {"hangs.py": "interrupted", "next.py": "interrupted"}
    assert bench.kinds("next.py")[-2:] == ["Ended", "Concluded"]


def test_output_never_passes_through_the_loop(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py")], {"a.py": [Scripted(output="loss 0.5")]})
    bench.run()
    assert [output.data for output in bench.shown] == [b"loss 0.5"]
    assert "Output" not in bench.kinds("a.py")


def test_who_runs_is_told_to_end_before_anybody_hears_of_the_interrupt(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py")], {"a.py": [HANGS]})
    still_hanging = []

    def listen(event: events.Control) -> None:
        if isinstance(event, events.Interrupted):
            still_hanging.append(len(bench.executor._hanging))

    bench.runner._listeners = [listen]
    bench.runner.interrupt()
    bench.run()
    assert still_hanging == [0]


def test_what_was_ended_by_the_stop_is_told_as_interrupted_whatever_it_exits_with(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py")], {"a.py": [HANGS]})
    bench.runner.interrupt()
    run = bench.run()
    told = bench.only(events.Ended, Phase.BOTH).ending
    assert told == Ending(Cause.INTERRUPTED, signal=15) == run.results[0].attempts[0].ending
