"""The contract of an executor (trainci.executors.base), kept by each of them."""

from __future__ import annotations

import queue
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trainci.executors.base import Executor, Job, Phase
from trainci.executors.fake import FakeExecutor, Scripted
from trainci.executors.local import LocalExecutor
from trainci.host.devices import virtual_devices
from trainci.model import Event, Pool, Test

DEADLINE = 60.0
TOLD = "import os; print(*map(os.environ.get, ('TRAINCI_PHASE', 'TRAINCI_DEVICES', 'CUDA_VISIBLE_DEVICES')))\n"
PROGRAMS = {
    "passes": "print('out')\n",
    "fails": "import sys\nprint('out')\nsys.exit(7)\n",
    "hangs": "import time\nprint('out', flush=True)\ntime.sleep(1000)\n",
}
SCRIPT = {
    "passes": [Scripted(output="out\n")],
    "fails": [Scripted(exit_code=7, output="out\n")],
    "hangs": [Scripted(output="out\n", hangs=True)],
}


@pytest.fixture(params=["fake", "local"])
def executor(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Executor:
    if request.param == "fake":
        return FakeExecutor(SCRIPT, time.time)
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / "locks"))
    for name, program in PROGRAMS.items():
        (tmp_path / name).write_text(program)
    return LocalExecutor(tmp_path, Pool(virtual_devices(4), virtual=True))


class Attempt:
    def __init__(
        self, executor: Executor, tmp_path: Path, name: str, gpus: int = 2, phase: Phase = Phase.BOTH
    ) -> None:
        test = Test(name, name, (sys.executable, name), num_gpus=gpus, timeout=DEADLINE)
        self.job = Job(test, 1, tmp_path / "logs" / f"{name}.log", phase)
        self.executor = executor
        self.events: list[Event] = []
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        executor.start(self.job, self._queue.put)

    def until(self, condition: Callable[[Event], bool]) -> Event:
        while True:
            event = self._queue.get(timeout=DEADLINE)
            self.events.append(event)
            if condition(event):
                return event

    def end(self) -> Event:
        return self.until(lambda event: event.kind == "ended")


@pytest.mark.parametrize(("name", "code"), [("passes", 0), ("fails", 7)])
def test_an_attempt_is_granted_started_and_ended_in_this_order(executor, tmp_path, name, code):
    attempt = Attempt(executor, tmp_path, name)
    ended = attempt.end()
    assert (ended.data["exit_code"], ended.data["timed_out"], ended.data["lost"]) == (code, False, "")
    kinds = [event.kind for event in attempt.events if event.kind not in ("output", "waiting")]
    assert kinds == ["granted", "started", "ended"]
    assert {(event.test_id, event.attempt) for event in attempt.events} == {(name, 1)}


def test_the_grant_names_as_many_devices_as_the_test_needs(executor, tmp_path):
    attempt = Attempt(executor, tmp_path, "passes", gpus=3)
    attempt.end()
    devices = next(event.data["devices"] for event in attempt.events if event.kind == "granted")
    assert len(set(devices)) == 3


def test_the_prepare_phase_holds_no_device_and_its_output_comes_first_in_the_log(executor, tmp_path):
    granted = []
    for phase in (Phase.PREPARE, Phase.EXECUTE):
        attempt = Attempt(executor, tmp_path, "passes", phase=phase)
        assert attempt.end().data["exit_code"] == 0
        granted += [len(event.data["devices"]) for event in attempt.events if event.kind == "granted"]
    assert granted == [0, 2]
    if isinstance(executor, LocalExecutor):
        assert attempt.job.log.read_text() == "out\nout\n"


@pytest.mark.parametrize(
    ("phase", "told"),
    [(Phase.BOTH, " cpu-0,cpu-1 "), (Phase.PREPARE, "prepare  "), (Phase.EXECUTE, "execute cpu-0,cpu-1 ")],
)
def test_a_local_test_is_told_its_phase_and_its_devices(tmp_path, monkeypatch, phase, told):
    monkeypatch.setenv("TRAINCI_PHASE", "execute")  # that of a test which this one is a part of
    (tmp_path / "tells").write_text(TOLD)
    attempt = Attempt(local(tmp_path, monkeypatch), tmp_path, "tells", phase=phase)
    attempt.end()
    assert attempt.job.log.read_text() == f"{told}\n"


def test_the_log_is_complete_when_the_attempt_has_ended(executor, tmp_path):
    attempt = Attempt(executor, tmp_path, "fails")
    attempt.end()
    assert attempt.job.log.read_text() == "out\n"
    assert "".join(event.data["text"] for event in attempt.events if event.kind == "output") == "out\n"


def test_a_stopped_attempt_ends(executor, tmp_path):
    attempt = Attempt(executor, tmp_path, "hangs")
    attempt.until(lambda event: event.kind == "output")
    executor.stop(attempt.job)
    assert attempt.end().data["exit_code"] != 0


def test_ended_comes_exactly_once(executor, tmp_path):
    attempt = Attempt(executor, tmp_path, "hangs")
    attempt.until(lambda event: event.kind == "output")
    executor.stop(attempt.job)
    executor.stop(attempt.job)
    attempt.end()
    executor.stop(attempt.job)
    with pytest.raises(queue.Empty):
        attempt._queue.get(timeout=0.2)


def test_stopping_an_unknown_job_is_no_error(executor, tmp_path):
    executor.stop(Job(Test("never", "never"), 1, tmp_path / "never.log"))


def test_the_command_names_the_test(executor):
    assert "passes" in executor.command(Test("passes", "passes", ("python", "passes")))


def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalExecutor:
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / "locks"))
    return LocalExecutor(tmp_path, Pool(virtual_devices(2), virtual=True))


def test_a_full_disk_loses_the_attempt_and_ends_its_tree(tmp_path, monkeypatch):
    """More output than a pipe holds: a test that nobody reads from would wait for ever."""
    (tmp_path / "talks").write_text("import time\nprint('x' * 10**6, flush=True)\ntime.sleep(1000)\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/talks.log").symlink_to("/dev/full")
    attempt = Attempt(local(tmp_path, monkeypatch), tmp_path, "talks")
    assert attempt.end().data["lost"] == "its log cannot be written: No space left on device"
    pid = next(event.data["pid"] for event in attempt.events if event.kind == "started")
    assert not Path(f"/proc/{pid}").exists()


def test_an_attempt_that_cannot_be_started_has_ended_and_is_lost(tmp_path, monkeypatch):
    (tmp_path / "logs").write_text("a file where the logs should go")
    attempt = Attempt(local(tmp_path, monkeypatch), tmp_path, "passes")
    assert attempt.end().data["lost"] == "it could not be started: File exists"


@pytest.mark.parametrize("text", ["plain", "a b", "it's", "$(id)", "a\nb", "\t", "\udcff", "é", "é\n\\x41", "'\r'"])
def test_the_command_is_one_line_that_a_shell_reads_back(tmp_path, text):
    """What bash makes of the printed arguments and variables is what the test is given."""
    script = "import os, sys; print(ascii([sys.argv[2:], os.environ['NOTE']]))"
    test = Test("t", "t.py", (sys.executable, "-c", script, "x", text), env=(("NOTE", text),))
    line = LocalExecutor(tmp_path, Pool((), virtual=True)).command(test)
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode().strip() == ascii([[text], text])
