"""The runner's loop against the fake executor: real listeners, scripted attempts, a counted clock."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest

from trainci.executors.base import Emit, Job
from trainci.executors.fake import FakeExecutor, Scripted
from trainci.model import Device, Event, Outcome, Pool, Refused, Run, Selected, Selection, Test
from trainci.paths import RunPaths, StatePaths
from trainci.runner import Plan, Runner
from trainci.schedule import Fitting


def make_test(name: str, gpus: int = 1, timeout: float = 60.0, phased: bool = False) -> Test:
    return Test(id=name, file=name, num_gpus=gpus, timeout=timeout, phased=phased)


class Bench:
    """One runner with its events recorded."""

    def __init__(
        self, tmp_path: Path, tests: list[Test], script: dict[str, list[Scripted]], **plan: object
    ) -> None:
        ticks = itertools.count(1000)
        self.clock = lambda: float(next(ticks))
        self.events: list[Event] = []
        self.executor = FakeExecutor(script, self.clock)
        devices = tuple(Device(i, f"cpu-{i}", "virtual", virtual=True) for i in range(8))
        defaults: dict[str, object] = {
            "run_id": "run-1",
            "commit": "c0ffee",
            "fitting": Fitting(Selection(tuple(Selected(test, "because") for test in tests)), (), ()),
            "pool": Pool(devices, virtual=True),
            "cpu_slots": 2,
            "expected": {},
            "replay": {},
        }
        self.plan = Plan(**{**defaults, **plan})  # type: ignore[arg-type]
        paths = RunPaths(StatePaths(tmp_path), "run-1")
        self.runner = Runner(self.plan, self.executor, paths, [self.events.append], self.clock)

    def run(self) -> Run:
        return self.runner.run()

    def kinds(self, test_id: str) -> list[str]:
        return [event.kind for event in self.events if event.test_id == test_id]


def outcomes(run: Run) -> dict[str, str]:
    return {result.test_id: result.verdict.outcome.value for result in run.results}


def test_all_passed_is_exit_0_and_every_step_is_an_event(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py"), make_test("b.py")], {})
    run = bench.run()
    assert outcomes(run) == {"a.py": "passed", "b.py": "passed"}
    assert run.exit_code == 0
    assert bench.kinds("a.py") == ["queued", "granted", "started", "ended", "verdict"]
    assert bench.events[0].kind == "run_started"
    assert bench.events[-1].kind == "run_ended"
    assert bench.events[-1].data == {"exit_code": 0}


def test_a_failed_test_is_exit_1_and_the_rest_still_runs(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py", 8), make_test("b.py", 8)], {"a.py": [Scripted(exit_code=3)]})
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
    bench = Bench(tmp_path, tests, {test.id: [Scripted(hangs=True)] for test in tests})
    bench.runner.interrupt()
    run = bench.run()
    started = set(bench.executor.started)
    assert sum(test.num_gpus for test in tests if test.id in started) <= 8
    assert len(started) == 2
    assert run.exit_code == 130


def test_the_machines_fault_is_tried_again_once_and_a_red_test_never(tmp_path):
    lost = Scripted(exit_code=None, lost="the disk is full")
    script = {"once.py": [lost], "twice.py": [lost, lost], "red.py": [Scripted(exit_code=1)]}
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


def test_the_machines_fault_alone_is_exit_3(tmp_path):
    lost = Scripted(exit_code=None, lost="the disk is full")
    run = Bench(tmp_path, [make_test("a.py")], {"a.py": [lost, lost]}).run()
    assert run.exit_code == 3
    assert run.results[0].verdict.sentence == "the disk is full"


def test_a_time_limit_is_a_verdict_of_its_own(tmp_path):
    run = Bench(tmp_path, [make_test("a.py")], {"a.py": [Scripted(exit_code=-15, timed_out=True)]}).run()
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


def test_fail_fast_ends_what_runs_and_starts_nothing_more(tmp_path):
    tests = [make_test("hangs.py", 4), make_test("red.py", 4), make_test("later.py", 8, timeout=1)]
    script = {"hangs.py": [Scripted(hangs=True)], "red.py": [Scripted(exit_code=1)]}
    bench = Bench(tmp_path, tests, script, fail_fast=True)
    run = bench.run()
    assert outcomes(run) == {"red.py": "failed", "hangs.py": "interrupted", "later.py": "skipped"}
    assert run.exit_code == 1
    assert "later.py" not in bench.executor.started


def test_an_interrupt_ends_everything_and_still_concludes_every_test(tmp_path):
    tests = [make_test("runs.py", 8), make_test("waits.py", 8, timeout=1)]
    bench = Bench(tmp_path, tests, {"runs.py": [Scripted(hangs=True)]})
    bench.runner.interrupt()
    run = bench.run()
    assert outcomes(run) == {"runs.py": "interrupted", "waits.py": "skipped"}
    assert run.exit_code == 130


def test_a_test_that_passed_before_the_stop_reached_it_has_passed(tmp_path):
    class PassesWhenStopped(FakeExecutor):
        def stop(self, job: Job) -> None:
            if emit := self._hanging.pop(job, None):
                self._end(job, emit, Scripted(exit_code=0))

    bench = Bench(tmp_path, [make_test("a.py")], {"a.py": [Scripted(hangs=True)]})
    bench.executor.__class__ = PassesWhenStopped
    bench.runner.interrupt()
    assert outcomes(bench.run()) == {"a.py": Outcome.PASSED.value}


def test_a_test_whose_prepare_phase_passed_before_the_stop_reached_it_has_not_passed(tmp_path):
    class PassesWhenStopped(FakeExecutor):
        def stop(self, job: Job) -> None:
            if emit := self._hanging.pop(job, None):
                self._end(job, emit, Scripted(exit_code=0))

    bench = Bench(tmp_path, [make_test("a.py", phased=True)], {"a.py prepare": [Scripted(hangs=True)]})
    bench.executor.__class__ = PassesWhenStopped
    bench.runner.interrupt()
    assert outcomes(bench.run()) == {"a.py": Outcome.INTERRUPTED.value}
    assert bench.executor.started == ["a.py prepare"]


def test_events_may_come_from_any_thread(tmp_path):
    class Threaded(FakeExecutor):
        def start(self, job: Job, emit: Emit) -> None:
            threading.Thread(target=super().start, args=(job, emit)).start()

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
        *("queued", "preparing", "prepared"),
        *("granted", "started", "ended", "verdict"),
    ]
    assert outcomes(run) == {"a.py": "passed"}
    (attempt,) = run.results[0].attempts
    assert attempt.devices == ("fake-0",)
    started = next(event.at for event in bench.events if event.kind == "started")
    assert attempt.started_at == started, "what is remembered is how long it holds its devices"


def test_a_cpu_test_has_nothing_to_gain_from_a_process_more(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py", gpus=0, phased=True)], {})
    bench.run()
    assert bench.executor.started == ["a.py"]


def test_the_prepare_phase_of_one_test_overlaps_with_the_execution_of_another(tmp_path):
    """The devices are all taken by a test that hangs, and the other one is prepared all the same."""
    tests = [make_test("hangs.py", 8), make_test("next.py", 8, phased=True, timeout=1)]
    bench = Bench(tmp_path, tests, {"hangs.py": [Scripted(hangs=True)]}, fail_fast=True)
    bench.executor._script["next.py prepare"] = [Scripted(exit_code=1)]
    run = bench.run()
    assert set(bench.executor.started) == {"hangs.py", "next.py prepare"}
    assert outcomes(run) == {"next.py": "failed", "hangs.py": "interrupted"}


def test_no_more_tests_are_prepared_at_once_than_there_are_cores(tmp_path):
    tests = [make_test(f"t{i}.py", phased=True) for i in range(5)]
    hangs = {f"{test.id} prepare": [Scripted(hangs=True)] for test in tests}
    bench = Bench(tmp_path, tests, hangs)
    bench.runner.interrupt()
    run = bench.run()
    assert len(bench.executor.started) == 2
    assert sorted(outcomes(run).values()) == ["interrupted"] * 2 + ["skipped"] * 3


@pytest.mark.parametrize(
    ("ending", "outcome", "sentence"),
    [
        (Scripted(exit_code=1), "failed", "in its prepare phase: exit code 1"),
        (Scripted(exit_code=-9), "failed", "in its prepare phase: killed by SIGKILL (signal 9)"),
        (
            Scripted(exit_code=-15, timed_out=True),
            "timed out",
            "in its prepare phase: ended by its time limit of 60 s",
        ),
        (
            Scripted(exit_code=3),
            "machine's fault",
            "in its prepare phase: the test found the machine at fault (exit code 3)",
        ),
        (Scripted(exit_code=None, lost="gone"), "machine's fault", "in its prepare phase: gone"),
    ],
)
def test_a_failed_prepare_phase_is_told_as_such_and_nothing_is_executed(tmp_path, ending, outcome, sentence):
    bench = Bench(tmp_path, [make_test("a.py", phased=True)], {"a.py prepare": [ending] * 2})
    run = bench.run()
    assert "a.py" not in bench.executor.started
    assert outcomes(run) == {"a.py": outcome}
    assert run.results[0].verdict.sentence == sentence
    assert bench.kinds("a.py")[-3:] == ["prepared", "ended", "verdict"]
    assert run.results[0].attempts[-1].log.endswith(".log")


def test_a_machine_fault_in_the_prepare_phase_is_tried_again_with_both_phases(tmp_path):
    bench = Bench(tmp_path, [make_test("a.py", phased=True)], {"a.py prepare": [Scripted(exit_code=3), Scripted()]})
    run = bench.run()
    assert bench.executor.started == ["a.py prepare", "a.py prepare", "a.py"]
    assert outcomes(run) == {"a.py": "passed"}
    assert [attempt.in_prepare for attempt in run.results[0].attempts] == [True, False]


def test_what_the_prepare_phase_took_is_taken_off_the_time_limit(tmp_path):
    jobs: list[Job] = []

    class Recording(FakeExecutor):
        def start(self, job: Job, emit: Emit) -> None:
            jobs.append(job)
            super().start(job, emit)

    bench = Bench(tmp_path, [make_test("a.py", timeout=60, phased=True)], {})
    bench.executor.__class__ = Recording
    bench.run()
    at = {event.kind: event.at for event in bench.events}
    assert [job.time_limit for job in jobs] == [60, 60 - (at["prepared"] - at["preparing"])]


def test_a_test_that_waits_prepared_for_devices_is_interrupted_with_the_rest(tmp_path):
    tests = [make_test("hangs.py", 8), make_test("next.py", 8, phased=True, timeout=1)]
    bench = Bench(tmp_path, tests, {"hangs.py": [Scripted(hangs=True)]})

    class InterruptedOncePrepared(type(bench.runner)):
        def _handle(self, event: Event) -> None:
            super()._handle(event)
            if event.kind == "prepared":
                self.interrupt()

    bench.runner.__class__ = InterruptedOncePrepared
    run = bench.run()
    assert "next.py" not in bench.executor.started
    assert outcomes(run) == {"hangs.py": "interrupted", "next.py": "interrupted"}
    assert bench.kinds("next.py")[-2:] == ["ended", "verdict"]
