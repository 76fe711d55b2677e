"""What rides in each Python process of a job: it answers, and nobody notices it otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import children_of, wait_until

from trainci import probe
from trainci.executors import results
from trainci.executors.base import Job
from trainci.host.processes import process
from trainci.looks import answers
from trainci.looks.asking import Asking
from trainci.model.look import Thread
from trainci.model.tests import Step, Test

PATIENCE_S = 20.0


@contextmanager
def running(code: str, folder: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program with the probe that prints `ready` once it is where it is to be looked at."""
    given = {**os.environ, **probe.variables(folder, environment.pop("PYTHONPATH", "")), **environment}
    words = [sys.executable, *options, "-c", f"print('ready', flush=True)\n{code}"]
    with subprocess.Popen(words, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        try:
            assert started.stdout
            assert started.stdout.readline() == b"ready\n"
            yield started
        finally:
            started.kill()


def stacks(folder: Path, pid: int) -> tuple[Thread, ...]:
    found = process(pid)
    assert found is not None
    asking = Asking(folder)
    try:
        said = asking.stacks([found], 2.0)
    finally:
        asking.close()
    return answers.threads(said.get(pid, b""))


def waits_in(folder: Path, pid: int, function: str) -> Callable[[], bool]:
    def look() -> bool:
        return any(frame.function == function for thread in stacks(folder, pid) for frame in thread.frames)

    return look


@pytest.mark.parametrize(
    "wait", ["time.sleep(99)", "pass", "ctypes.PyDLL(None).pause()"], ids=["sleep", "spin", "in C"]
)
def test_a_process_answers_where_it_is_also_while_c_holds_its_interpreter(tmp_path: Path, wait: str) -> None:
    code = (
        f"import ctypes, time\ndef load_batch():\n    while True: {wait.removeprefix('while True: ')}\nload_batch()"
    )
    with running(code, tmp_path) as started:
        wait_until(waits_in(tmp_path, started.pid, "load_batch"), "its stack")
        assert started.poll() is None


# Nothing answers from C any more; Python would end the process.
REPLACED = f"""
import os, signal
signal.signal({probe.SIGNAL}, lambda *_: os._exit(3))
"""
# Both say so once they are there; `wait_in_c` goes on whatever comes.
AMID = """
import ctypes, os, threading
def wait_in_c():
    ctypes.CDLL(None).system(b"echo waits; while kill -0 $PPID; do sleep 0.1; done 2>/dev/null")
def load_batch():
    os.write(1, b"runs\\n")
    while True: pass
def in_another_thread(wait):
    threading.Thread(target=load_batch).start()
    wait()
"""
GROUP = """
import torch.distributed as dist
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
"""


@pytest.mark.parametrize("run", ["load_batch()", "in_another_thread(threading.Event().wait)"])
def test_a_process_that_runs_python_answers_between_two_instructions(tmp_path: Path, run: str) -> None:
    with running(REPLACED + AMID + run, tmp_path) as started:
        assert started.stdout and started.stdout.readline() == b"runs\n"
        wait_until(waits_in(tmp_path, started.pid, "load_batch"), "its stack")
        assert started.poll() is None


@pytest.mark.parametrize(("before", "answers"), [("", False), (REPLACED + GROUP, True)], ids=["alone", "a rank"])
def test_what_runs_python_beside_a_main_thread_that_waits_in_c_answers_by_the_probes_own_thread_or_not(
    tmp_path: Path, before: str, answers: bool
) -> None:
    if answers:
        pytest.importorskip("torch")
    code = f"{before}{AMID}in_another_thread(wait_in_c)"
    with running(code, tmp_path) as started:
        assert started.stdout
        assert {started.stdout.readline(), started.stdout.readline()} == {b"runs\n", b"waits\n"}
        assert waits_in(tmp_path, started.pid, "load_batch")() is answers
        assert started.poll() is None


def test_a_forked_child_and_a_started_one_answer_for_themselves(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "def in_child(): time.sleep(99)\n"
        "if os.fork() == 0: in_child()\n"
        "subprocess.run([sys.executable, '-c', 'import time\\ndef started(): time.sleep(99)\\nstarted()'])"
    )
    with running(code, tmp_path) as started:
        children = wait_until(lambda: len(found := children_of(started.pid)) == 2 and found, "both children")
        wait_until(waits_in(tmp_path, children[0], "in_child"), "the stack of the forked one")
        wait_until(waits_in(tmp_path, children[1], "started"), "the stack of the started one")
        for child in children:
            os.kill(child, 9)


def test_who_closed_or_took_its_descriptor_is_not_written_to(tmp_path: Path) -> None:
    code = (
        "import os, time\nos.closerange(3, 1024)\n"
        "mine = open('mine', 'w')\nfor number in range(3, 1024): os.dup2(mine.fileno(), number)\ntime.sleep(99)"
    )
    with running(f"import os\nos.chdir({str(tmp_path)!r})\n{code}", tmp_path) as started:
        wait_until(lambda: (tmp_path / "mine").exists(), "its file")
        assert stacks(tmp_path, started.pid) == ()
        assert (tmp_path / "mine").read_bytes() == b""
        assert started.poll() is None


@pytest.mark.parametrize("options", [("-I",), ("-S",), ("-E",)])
def test_a_process_in_which_it_cannot_load_runs_as_ever_and_is_not_signalled(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with running("import time; time.sleep(99)", tmp_path, *options) as started:
        assert stacks(tmp_path, started.pid) == ()
        assert started.poll() is None


@pytest.mark.parametrize("told", ["", "50", "x:y", "50:/nowhere/at/all", "9:{}", "-1:", "99999999999999999999:{}"])
def test_it_is_silent_where_it_cannot_begin(tmp_path: Path, told: str) -> None:
    environment = {**os.environ, **probe.variables(tmp_path, ""), "TRAINCI_PROBE": told.format(tmp_path)}
    code = "import os; print(os.path.lexists('/%d.stacks' % os.getpid()))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def test_the_sitecustomize_of_a_user_runs_and_is_the_module_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/sitecustomize.py").write_text("OWN = 'mine'\n")
    environment = {**os.environ, **probe.variables(tmp_path, str(tmp_path / "own"))}
    code = "import sitecustomize, sys; print(sitecustomize.OWN, sitecustomize.__file__, sys.path[1])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["mine", str(tmp_path / "own/sitecustomize.py"), str(tmp_path / "own")]
    (tmp_path / "own/sitecustomize.py").write_text("raise RuntimeError('its own fault')\n")
    done = subprocess.run([sys.executable, "-c", "print(1)"], env=environment, capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert "its own fault" in done.stderr


def test_a_program_sees_the_path_the_descriptors_and_the_threads_that_it_always_has(tmp_path: Path) -> None:
    code = (
        "import json, os, sys, threading\n"
        "print(json.dumps([[p for p in sys.path], os.dup(0), threading.active_count(),"
        " len(os.listdir('/proc/self/task'))]))"
    )
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout
        for environment in (bare, {**bare, **probe.variables(tmp_path, "")})
    ]
    assert said[0] == said[1] != ""


def test_a_fork_brings_no_warning_of_threads(tmp_path: Path) -> None:
    environment = {**os.environ, **probe.variables(tmp_path, "")}
    code = "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_start_of_a_process_takes_little_more(tmp_path: Path) -> None:
    ends = {probe.ENDS_VARIABLE: str(tmp_path / "ends")}
    environment = {**os.environ, **probe.variables(tmp_path, ""), **ends, "PYTHONDONTWRITEBYTECODE": "1"}
    # As Python begins it, and compiled anew each time, as where its folder cannot be written.
    code = (
        "import sys, time, types\nsys.modules.pop('faulthandler', None)\nsys.modules.pop('fcntl', None)\n"
        f"path = {str(Path(probe.SITE, 'sitecustomize.py'))!r}\nbegun = time.process_time()\n"
        "exec(compile(open(path).read(), path, 'exec'), {'__file__': path, '__name__': 'sitecustomize'})\n"
        "print(begun, time.process_time() - begun)"
    )
    words = [sys.executable, "-c", code]
    ratios: list[float] = []
    # Of Python's own start, which has the probe within it: a busy host slows both. 5 ms of a quiet one are a third.
    while len(ratios) < 40 and min(ratios, default=1.0) >= 0.4:
        begun, taken = map(float, subprocess.run(words, env=environment, capture_output=True).stdout.split())
        ratios.append(taken / begun)
    assert min(ratios) < 0.4, ratios


def test_the_variables_keep_what_the_job_would_have_and_hold_the_probe_once(tmp_path: Path) -> None:
    assert probe.variables(tmp_path, "")["PYTHONPATH"] == probe.SITE
    twice = probe.variables(tmp_path, probe.variables(tmp_path, "a:b")["PYTHONPATH"])
    assert twice["PYTHONPATH"] == f"{probe.SITE}:a:b"
    assert [path.name for path in Path(probe.SITE).glob("*.py")] == ["sitecustomize.py"], "it hides no other module"


def test_a_step_with_a_path_of_its_own_keeps_the_probe_before_it(tmp_path: Path) -> None:
    step = Step("build", ("make",), (("PYTHONPATH", "lib"), ("A", "1")))
    job = Job(Test("t", steps=(step, Step("check", ("true",)))), 1, tmp_path / "t.log")
    first, second = json.loads(results.command(job)[-1])
    assert (first["env"]["PYTHONPATH"], first["env"]["A"]) == (f"{probe.SITE}:lib", "1")
    assert "PYTHONPATH" not in second["env"], "what the test has is inherited"


def test_a_signal_that_comes_while_the_process_ends_does_not_end_it(tmp_path: Path) -> None:
    code = (
        "import os\nclass Last:\n    def __del__(self, kill=os.kill, pid=os.getpid()): kill(pid, 50)\n"
        "import faulthandler\nfaulthandler.unregister(50)\nLast()"
    )
    environment = {**os.environ, **probe.variables(tmp_path, "")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
