"""The contract of an executor (trainci.executors.base), kept by each of them."""

from __future__ import annotations

import os
import queue
import resource
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import click
import pytest
from support import alive, wait_until

from trainci.commands import run
from trainci.errors import UsageError
from trainci.executors import results
from trainci.executors.account import ending_of
from trainci.executors.base import Executor, Job, Wanted
from trainci.executors.by_name import DEFAULT, EXECUTORS
from trainci.executors.fake import FakeExecutor, Scripted
from trainci.executors.local import LocalExecutor
from trainci.executors.ray import executor as ray
from trainci.host.devices import virtual_devices
from trainci.lease import protocol
from trainci.model import events
from trainci.model.device import Pool
from trainci.model.project import RAY_ADDRESS
from trainci.model.run import Cause, Ending, Failure, Phase
from trainci.model.seen import Seen
from trainci.model.tests import Test

DEADLINE = 60.0
Kind = TypeVar("Kind", bound=events.Event)
TOLD = "import os; print(*map(os.environ.get, ('TRAINCI_PHASE', 'TRAINCI_DEVICES', 'CUDA_VISIBLE_DEVICES')))\n"
PROGRAMS = {
    "passes": "print('out')\n",
    "fails": "import sys\nprint('out')\nsys.exit(7)\n",
    "hangs": "import time\nprint('out', flush=True)\ntime.sleep(1000)\n",
}
PROGRAMS["loses"] = "import os, sys\nos.system(f'echo assert 0 | {sys.executable} | cat')\n"
PROGRAMS["spreads"] = """from trainci.testing import exec_command
from trainci.testing.nodes import on_each_node
names = ("TRAINCI_NODE_RANK", "TRAINCI_NODES", "MASTER_ADDR", "MASTER_PORT")
exec_command(on_each_node(["sh", "-c", "echo node " + " ".join(f"${name}" for name in names)]))
"""
NAMES = (*EXECUTORS, "fake")
SCRIPT = {
    "passes": [Scripted(output="out\n")],
    "fails": [Scripted(Ending(Cause.EXITED, 7), output="out\n")],
    "hangs": [Scripted(output="out\n", hangs=True)],
    "loses": [Scripted(failures=(Failure("a process ended by AssertionError at <stdin>:1"),))],
}


# An engine takes its time to start.
ENGINES = {"ray": "ray_head", "slurm": "slurm_cluster"}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name in ENGINES else name for name in NAMES])
def executor(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Executor]:
    if request.param == "fake":
        yield FakeExecutor(SCRIPT, time.time, Pool(virtual_devices(4), virtual=True))
        return
    engine = request.getfixturevalue(ENGINES[request.param]) if request.param in ENGINES else None
    with closing(made(request.param, engine, tmp_path, monkeypatch)) as executor:
        yield executor


def made(
    name: str, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: str = "cpu:4", nodes: int = 1
) -> Executor:
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / "locks"))
    for variable, value in engine.environment.items() if engine else ():
        monkeypatch.setenv(variable, value)
    for program, text in PROGRAMS.items():
        (tmp_path / program).write_text(text)
    address = getattr(engine, "address", RAY_ADDRESS)
    return EXECUTORS[name](Wanted(tmp_path, devices, nodes=nodes, ray_address=address))


class Attempt:
    def __init__(
        self,
        executor: Executor,
        tmp_path: Path,
        name: str,
        gpus: int = 2,
        phase: Phase = Phase.BOTH,
        timeout: float = DEADLINE,
        wanted: bool = True,
        nodes: int = 1,
    ) -> None:
        test = Test(name, name, (sys.executable, name), num_gpus=gpus, num_nodes=nodes, timeout=timeout)
        # Each test is a run of its own: by that an engine which all of them share knows its jobs.
        run = next((path.name for path in tmp_path.glob("run-*")), f"run-{secrets.token_hex(6)}")
        self.job = Job(test, 1, tmp_path / run / f"{name}.log", phase)
        self.executor = executor
        self.told: list[events.Event] = []
        self._queue: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
        self.wanted = wanted
        executor.start(self.job, self._queue.put, self)

    def __call__(self, output: events.Output, /) -> None:
        """It is a Show, too."""
        self._queue.put(output)

    def has_room(self, wait: float = 0.0) -> bool:
        return self.wanted

    def until(self, kind: type[Kind]) -> Kind:
        while True:
            event = self._queue.get(timeout=DEADLINE)
            self.told.append(event)
            if isinstance(event, kind):
                return event

    def end(self) -> Ending:
        return self.until(events.Ended).ending

    def all(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.told if isinstance(event, kind)]


@pytest.mark.parametrize(("name", "code"), [("passes", 0), ("fails", 7)])
def test_an_attempt_is_granted_started_and_ended_in_this_order(executor, tmp_path, name, code):
    attempt = Attempt(executor, tmp_path, name)
    assert attempt.end() == Ending(Cause.EXITED, code)
    kinds = [type(event) for event in attempt.told if not isinstance(event, events.Output | events.Waiting)]
    assert kinds == [events.Granted, events.Started, events.Ended]
    assert {(event.test_id, event.attempt, event.phase) for event in attempt.told} == {(name, 1, Phase.BOTH)}


def test_the_grant_names_as_many_devices_as_the_test_needs(executor, tmp_path):
    attempt = Attempt(executor, tmp_path, "passes", gpus=3)
    attempt.end()
    (granted,) = attempt.all(events.Granted)
    assert len(set(granted.devices)) == 3


def test_the_prepare_phase_holds_no_device_and_its_output_comes_first_in_the_log(executor, tmp_path):
    granted = []
    for phase in (Phase.PREPARE, Phase.EXECUTE):
        attempt = Attempt(executor, tmp_path, "passes", phase=phase)
        assert attempt.end().passed
        granted += [(event.phase, len(event.devices)) for event in attempt.all(events.Granted)]
    assert granted == [(Phase.PREPARE, 0), (Phase.EXECUTE, 2)]
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
    assert b"".join(event.data for event in attempt.all(events.Output)) == b"out\n"


def test_what_failed_in_an_attempt_that_exited_with_0_is_told(executor, tmp_path):
    attempt = Attempt(executor, tmp_path, "loses")
    ended = attempt.until(events.Ended)
    assert ended.ending.passed
    assert ended.failures == (Failure("a process ended by AssertionError at <stdin>:1"),)


@pytest.mark.parametrize(
    ("script", "ending"),
    [("passes", Cause.LOST), ("fails", Cause.EXITED)],
)
def test_an_end_is_told_whatever_comes_of_what_a_test_left(script, ending, tmp_path, monkeypatch):
    """A run that waited for it would wait for ever."""
    monkeypatch.setattr(results, "collect", lambda job: [][0])
    with closing(made("local", None, tmp_path, monkeypatch)) as executor:
        told = Attempt(executor, tmp_path, script).end()
    assert told.cause is ending
    if script == "passes":
        assert "a bug of trainci, met in what the test left behind: IndexError at test_contract.py" in told.detail


def test_a_stopped_attempt_ends(executor, tmp_path):
    attempt = Attempt(executor, tmp_path, "hangs")
    attempt.until(events.Output)
    executor.stop(attempt.job)
    assert attempt.end() == Ending(Cause.SIGNALLED, signal=15)


def of_ray(cluster: Any) -> Any:
    return ray._client(cluster.address)


def stop_all_of_ray(cluster: Any) -> None:
    for job in of_ray(cluster).list_jobs():
        if not job.status.is_terminal():
            of_ray(cluster).stop_job(job.submission_id)


# What somebody does who has the engine's own commands.
ENDS = {"ray": stop_all_of_ray, "slurm": lambda cluster: cluster("scancel", "--user=root")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_an_attempt_that_somebody_ends_at_its_engine_is_cancelled(name, request, tmp_path, monkeypatch):
    engine = request.getfixturevalue(ENGINES[name])
    with closing(made(name, engine, tmp_path, monkeypatch)) as executor:
        attempt = Attempt(executor, tmp_path, "hangs")
        attempt.until(events.Output)
        ENDS[name](engine)
        ending = attempt.end()
    assert (ending.cause, ending.signal) == (Cause.CANCELLED, 15), ending
    (started,) = attempt.all(events.Started)
    wait_until(lambda: not alive(started.pid), "its process to end")


@pytest.mark.parametrize("name", ["local", *(pytest.param(name, marks=pytest.mark.slow) for name in ENGINES)])
def test_a_test_of_two_nodes_runs_on_each_of_them_and_is_told_which_it_is(name, request, tmp_path, monkeypatch):
    engine = request.getfixturevalue({**ENGINES, "ray": "ray_nodes"}[name]) if name in ENGINES else None
    one = made(name, engine, tmp_path, monkeypatch, "cpu:2", nodes=1 if engine else 2)
    with closing(one) as executor:
        attempt = Attempt(executor, tmp_path, "spreads", nodes=2)
        assert attempt.end() == Ending(Cause.EXITED, 0)
    told = sorted(line.split() for line in attempt.job.log.read_text().splitlines() if line.startswith("node "))
    assert [words[1] for words in told] == ["0", "1"]
    (names,) = {words[2] for words in told}
    (address,) = {words[3] for words in told}
    assert len(set(names.split(","))) == 2 and address
    assert len({words[4] for words in told}) == 1, "one port, of the first node's lease"


def test_ended_comes_exactly_once(executor, tmp_path):
    attempt = Attempt(executor, tmp_path, "hangs")
    attempt.until(events.Output)
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


def test_it_says_what_it_can_run_at_once(executor):
    assert len(executor.pool.devices) == 4 and executor.pool.virtual
    assert executor.cpu_slots >= 1


def test_an_executor_is_reached_again_by_its_own_options(tmp_path):
    """They are what a replay command says."""
    for name, make in EXECUTORS.items():
        one = make(Wanted(tmp_path, "cpu:3"))
        said = make_context(one.options).params
        again = EXECUTORS[said["executor"] or DEFAULT](Wanted(tmp_path, said["devices"]))
        assert (said["executor"] or DEFAULT, again.pool) == (name, one.pool)


def make_context(options: tuple[str, ...]) -> click.Context:
    return run.command.make_context("trainci run", ["tests/test_a.py", *options])


def test_a_time_limit_is_a_cause_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "hangs").write_text(PROGRAMS["hangs"])
    attempt = Attempt(local(tmp_path, monkeypatch), tmp_path, "hangs", timeout=1.0)
    ending = attempt.end()
    assert (ending.cause, ending.signal) == (Cause.TIMED_OUT, 15), ending


def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalExecutor:
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / "locks"))
    return LocalExecutor(tmp_path, Pool(virtual_devices(2), virtual=True))


@pytest.mark.parametrize("code", [0, 7])
def test_a_full_disk_cuts_the_log_and_the_test_decides(tmp_path, monkeypatch, code):
    """More output than a pipe holds: a test that nobody reads from would wait for ever."""
    (tmp_path / "talks").write_text(f"import sys\nprint('x' * 10**7, flush=True)\nsys.exit({code})\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, hard))
    try:
        attempt = Attempt(local(tmp_path, monkeypatch), tmp_path, "talks")
        assert attempt.end() == Ending(Cause.EXITED, exit_code=code)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    shown = b"".join(event.data for event in attempt.all(events.Output))
    assert shown.count(b"xx") == 10**7 // 2, "all of it"
    assert shown.count(b"trainci: the log ends here (File too large); the test goes on\n") == 1
    assert attempt.job.log.stat().st_size == 10**6


def test_whoever_does_not_take_output_holds_up_no_order_and_no_end(tmp_path, monkeypatch):
    """What is more than a pipe holds stays where it is, and the order to end overtakes it."""
    (tmp_path / "talks").write_text("import os\nwhile True: os.write(1, b'x' * 65536)\n")
    attempt = Attempt(local(tmp_path, monkeypatch), tmp_path, "talks", wanted=False)
    attempt.until(events.Started)
    with pytest.raises(queue.Empty):
        attempt._queue.get(timeout=0.2)
    attempt.executor.stop(attempt.job)
    assert attempt.end() == Ending(Cause.SIGNALLED, signal=15)
    shown = sum(len(event.data) for event in attempt.all(events.Output))
    assert shown == attempt.job.log.stat().st_size <= 1 << 20, "what was in the pipe, and no more"


def test_a_time_limit_holds_while_nobody_takes_the_output(tmp_path, monkeypatch):
    (tmp_path / "talks").write_text("import os\nwhile True: os.write(1, b'x' * 65536)\n")
    attempt = Attempt(local(tmp_path, monkeypatch), tmp_path, "talks", timeout=1.0, wanted=False)
    ending = attempt.end()
    assert (ending.cause, ending.signal) == (Cause.TIMED_OUT, 15), ending


def test_a_secret_is_masked_before_it_reaches_the_log_or_anybody(tmp_path, monkeypatch):
    """Printed in two pieces, and as base64."""
    (tmp_path / "tells").write_text(
        "import base64, time\n"
        "print('a hf_sec', end='', flush=True)\ntime.sleep(0.3)\nprint('ret-1234 b', flush=True)\n"
        "print(base64.b64encode(b'hf_secret-1234').decode())\n"
    )
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / "locks"))
    executor = LocalExecutor(tmp_path, Pool(virtual_devices(2), virtual=True), secrets=["hf_secret-1234"])
    attempt = Attempt(executor, tmp_path, "tells")
    assert attempt.end().passed
    shown = b"".join(event.data for event in attempt.all(events.Output))
    assert shown == attempt.job.log.read_bytes()
    first, second = shown.decode().splitlines()
    assert first == "a *** b"
    assert second.startswith("***") and len(second) <= 5, second


@pytest.mark.parametrize("what", ["a pipe", "a link"])
def test_what_a_test_put_in_the_place_of_a_log_is_not_opened(tmp_path, monkeypatch, what):
    (tmp_path / "run-1").mkdir()
    log = tmp_path / "run-1/passes.log"
    if what == "a pipe":
        os.mkfifo(log)
    else:
        log.symlink_to(tmp_path / "elsewhere")
    attempt = Attempt(local(tmp_path, monkeypatch), tmp_path, "passes")
    assert attempt.end().cause is Cause.NEVER_STARTED
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_directory_of_another_format_is_told_when_the_executor_opens(tmp_path, monkeypatch):
    """Once, before any test is started."""
    executor = local(tmp_path, monkeypatch)
    (tmp_path / "locks").mkdir(mode=0o1777)
    (tmp_path / "locks/format").write_text("99\n")
    with pytest.raises(UsageError, match="format '99'"):
        executor.open()


def test_an_attempt_that_cannot_be_started_has_ended_and_is_lost(tmp_path, monkeypatch):
    (tmp_path / "run-1").write_text("a file where the logs should go")
    attempt = Attempt(local(tmp_path, monkeypatch), tmp_path, "passes")
    assert attempt.end() == Ending(Cause.NEVER_STARTED, detail="it could not be started: File exists")


@pytest.mark.parametrize("refused", ["passes", "_watch"])
def test_a_host_that_gives_no_more_threads_keeps_no_run_waiting(tmp_path, monkeypatch, refused):
    start = threading.Thread.start

    def refuse(thread):
        if refused in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    (tmp_path / "passes").write_text("")
    ending = Attempt(local(tmp_path, monkeypatch), tmp_path, "passes").end()
    if refused == "passes":
        assert ending == Ending(Cause.NEVER_STARTED, detail="it could not be started: can't start new thread")
    else:
        assert ending.passed, "nobody looks on, and it ends as it does"


class NonsenseLauncher:
    """Starts a process in the place of a lease that tells what is no report, and goes on."""

    def start(
        self, arguments: list[str], cwd: Path, variables: object, output: int, status: int
    ) -> NonsenseLauncher:
        program = (
            "import os, sys, time; os.write(int(sys.argv[1]), b'granted: all\\n'); print('x' * 10**6, flush=True)"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{program}; sys.stdout.flush(); time.sleep(1000)", str(status)],
            stdout=output,
            pass_fds=(status,),
        )
        return self

    def terminate(self) -> None:
        self._process.terminate()

    def wait(self) -> int:
        return self._process.wait()


def test_a_lease_that_reports_nonsense_loses_the_attempt_and_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("trainci.executors.local.Launcher", NonsenseLauncher)
    attempt = Attempt(local(tmp_path, monkeypatch), tmp_path, "passes")
    ending = attempt.end()
    assert ending.cause is Cause.LOST
    assert ending.detail == "its lease said what is no report: b'granted: all'"


@pytest.mark.parametrize("text", ["plain", "a b", "it's", "$(id)", "a\nb", "\t", "\udcff", "é", "é\n\\x41", "'\r'"])
def test_the_command_is_one_line_that_a_shell_reads_back(tmp_path, text):
    """What bash makes of the printed arguments and variables is what the test is given."""
    script = "import os, sys; print(ascii([sys.argv[2:], os.environ['NOTE']]))"
    test = Test("t", "t.py", (sys.executable, "-c", script, "x", text), env=(("NOTE", text),))
    line = LocalExecutor(tmp_path, Pool((), virtual=True)).command(test)
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode().strip() == ascii([[text], text])


WANT = "the kernel ended it for want of memory (oom_kill of its cgroup)"


@pytest.mark.parametrize(
    ("ended", "detail"),
    [
        (protocol.Ended(signal=9, seen=Seen(kernel_oom=True)), WANT),
        (protocol.Ended(137, seen=Seen(kernel_oom=True)), WANT),
        (protocol.Ended(signal=9, seen=Seen(seccomp=True)), "it made a system call that its own seccomp forbids"),
        (protocol.Ended(signal=9), ""),
        (protocol.Ended(1, seen=Seen(kernel_oom=True)), ""),
    ],
)
def test_the_kernels_word_about_memory_is_kept_for_what_it_killed(ended, detail):
    assert ending_of(ended).detail == detail
    assert ending_of(ended).seen is ended.seen
