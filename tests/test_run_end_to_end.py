"""`trainci run` as its users see it: the console script in a repository, with real processes and real leases."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from junitparser import JUnitXml
from support import alive, wait_until

pytestmark = pytest.mark.slow

TRAINCI = str(Path(sys.executable).with_name("trainci"))
DEADLINE = 60.0
HEADER = "import os, sys, time, json, subprocess\nfrom pathlib import Path\nNUM_GPUS = {gpus}\n"
FOOTER = '\nif __name__ == "__main__":\n    execute()\n'


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "tests").mkdir(parents=True)
        self.write("trainci.toml", "[project]\n")
        self.environment = {
            **{
                k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "TRAINCI_", "PYTHONUNBUFFERED"))
            },
            "TRAINCI_LOCK_DIR": str(root.parent / "locks"),
            "COLUMNS": "200",
        }

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def test(self, name: str, body: str, gpus: int = 0) -> str:
        """A test file whose execute() is ``body``."""
        lines = textwrap.indent(textwrap.dedent(body), "    ")
        self.write(f"tests/test_{name}.py", f"{HEADER.format(gpus=gpus)}\ndef execute():\n{lines}\n{FOOTER}")
        return f"tests/test_{name}.py"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [TRAINCI, *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=DEADLINE)
        return process.returncode, output

    def path(self, name: str) -> Path:
        return self.root / name


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repo")


# A child in a session of its own, deaf to SIGTERM, and the test itself: both must be gone at the end.
STUBBORN = """
    code = "import os,signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    code += "print(os.getpid(), flush=True); time.sleep(1000)"
    child = subprocess.Popen(["setsid", sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    daemon = int(child.stdout.readline())
    Path("pids.new").write_text(json.dumps([os.getpid(), daemon]))
    os.rename("pids.new", "pids")
    time.sleep(1000)
"""


def pids(repository: Repository) -> list[int]:
    wait_until(lambda: repository.path("pids").exists(), "the test started its children")
    return json.loads(repository.path("pids").read_text())


def test_green_is_exit_0_with_a_summary_that_says_virtual(repository):
    repository.test("a", "print('hello')", gpus=2)
    code, output = repository.run("run", "tests/test_a.py", "--devices", "cpu:8")
    assert code == 0, output
    assert "tests/test_a.py | hello" in output
    assert output.splitlines()[-1].endswith("8 virtual devices, no GPU")


def test_red_is_exit_1_and_shows_how_to_replay(repository):
    repository.test("a", "print('about to fail'); sys.exit(7)")
    code, output = repository.run("run", "tests/test_a.py")
    assert code == 1
    assert "exit code 7" in output
    assert "    | about to fail" in output
    log = re.search(r"log:    (\S+)", output)
    assert log
    assert repository.path(log.group(1)).read_text() == "about to fail\n"


def test_the_replay_command_repeats_arguments_environment_and_devices(repository):
    repository.test(
        "a",
        """
        seen = [sys.argv[1:], os.environ["MODE"], os.environ["TRAINCI_DEVICES"].count("cpu-")]
        with open("seen", "a") as file:
            file.write(json.dumps(seen) + "\\n")
        sys.exit(1)
        """,
        gpus=2,
    )
    entry = '{ path = "tests/test_a.py", args = ["--x", "a b", "$(id)", "\'\\""], env = { MODE = "slow; ls" } }'
    repository.write("trainci.toml", f'[project]\n[suites.short]\ntests = ["tests/test_a.py", {entry}]\n')
    code, output = repository.run("run", "tests/test_a.py[[]*", "--devices", "cpu:4")
    assert code == 1, output
    replay = re.search(r"replay: (trainci .*)", output)
    assert replay
    again, _ = repository.run(*shlex.split(replay.group(1))[1:])
    assert again == 1
    first, second = repository.path("seen").read_text().splitlines()
    assert first == second == json.dumps([["--x", "a b", "$(id)", "'\""], "slow; ls", 2])


def test_without_a_gpu_a_gpu_test_is_exit_3_with_both_ways_out_and_cpu_tests_still_run(repository):
    repository.environment["CUDA_VISIBLE_DEVICES"] = ""
    repository.test("gpu", "Path('never').touch()", gpus=4)
    repository.test("cpu", "Path('ran').touch()")
    code, output = repository.run("run", "tests/test_*.py")
    assert code == 3, output
    assert "needs 4 devices, and this host has no GPU" in output
    assert "--devices cpu:4" in output
    assert "larger host" in output
    assert repository.path("ran").exists()
    assert not repository.path("never").exists()


def test_a_test_that_needs_more_devices_than_exist_is_refused_at_once_with_the_rest_still_run(repository):
    repository.test("big", "Path('never').touch()", gpus=9)
    repository.test("small", "Path('ran').touch()", gpus=1)
    code, output = repository.run("run", "tests/test_*.py", "--devices", "cpu:8")
    assert code == 3, output
    assert "needs 9 devices" in output
    assert repository.path("ran").exists()
    assert not repository.path("never").exists()


def test_a_test_that_runs_on_gpus_only_is_skipped_on_virtual_devices_with_the_reason_in_every_report(repository):
    repository.environment["GITHUB_STEP_SUMMARY"] = str(repository.path("summary.md"))
    repository.test("cpu", "Path('ran').touch()")
    gpu = repository.test("gpu", "Path('never').touch()", gpus=2)
    repository.write(gpu, "REQUIRES_GPU = True\n" + repository.path(gpu).read_text())
    code, output = repository.run("run", "tests/test_*.py", "--devices", "cpu:8", "--junit", "report.xml")
    assert code == 0, output
    why = (
        "runs on GPUs only (REQUIRES_GPU), and this run has 8 virtual devices, no GPU. Run it on a host with 2 GPUs"
    )
    assert f"skipped tests/test_gpu.py: {why}" in output
    assert output.splitlines()[-1].startswith("1 passed, 1 skipped in ")
    assert repository.path("ran").exists() and not repository.path("never").exists()
    report = JUnitXml.fromfile(str(repository.path("report.xml")))
    assert (report.tests, report.skipped, report.failures, report.errors) == (2, 1, 0, 0)
    assert "runs on GPUs only (REQUIRES&#95;GPU)" in repository.path("summary.md").read_text()
    _, listed = repository.run("list", gpu)
    assert re.search(r"tests/test_gpu.py +2, GPUs only .* skipped ", listed), listed


def test_a_run_that_skipped_everything_says_that_nothing_ran_and_is_green_on_virtual_devices_only(repository):
    repository.environment["CUDA_VISIBLE_DEVICES"] = ""
    gpu = repository.test("gpu", "pass", gpus=2)
    repository.write(gpu, "REQUIRES_GPU = True\n" + repository.path(gpu).read_text())
    code, output = repository.run("run", gpu, "--devices", "cpu:8")
    assert (code, output.splitlines()[-1][:24]) == (0, "nothing ran: 1 skipped i"), output
    code, output = repository.run("run", gpu)
    assert (code, output.splitlines()[-1][:24]) == (3, "nothing ran: 1 skipped i"), output


def test_a_cpu_test_is_given_no_gpu(repository):
    repository.environment["CUDA_VISIBLE_DEVICES"] = "0,1"
    repository.test("a", "assert os.environ['CUDA_VISIBLE_DEVICES'] == '', os.environ['CUDA_VISIBLE_DEVICES']")
    code, output = repository.run("run", "tests/test_a.py", "--devices", "cpu:1")
    assert code == 0, output


def test_several_at_once_as_devices_allow(repository):
    """Each waits for the other to have started; run one after the other they would never end."""
    for name, other in (("a", "b"), ("b", "a")):
        body = f"Path('{name}').touch()\nwhile not Path('{other}').exists():\n    time.sleep(0.01)"
        repository.test(name, body, gpus=4)
    code, output = repository.run("run", "tests/test_*.py", "--devices", "cpu:8", "--timeout", "50")
    assert code == 0, output


def test_output_is_live(repository):
    repository.test("a", "print('before')\nwhile not Path('go').exists():\n    time.sleep(0.01)")
    process = repository.start("run", "tests/test_a.py")
    assert process.stdout is not None
    while "tests/test_a.py | before" not in process.stdout.readline():
        assert process.poll() is None, "the run ended before its output was shown"
    repository.path("go").touch()
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 0


def test_a_time_limit_ends_the_whole_tree_also_children_that_called_setsid(repository):
    repository.test("a", STUBBORN, gpus=1)
    for limit in ("2", "20"):
        code, output = repository.run("run", "tests/test_a.py", "--devices", "cpu:1", "--timeout", limit)
        assert code == 1
        assert "timed out" in output
        assert f"time limit of {limit} s" in output
        # On a busy host the limit may be over before all of the tree is born.
        if repository.path("pids").exists():
            break
    assert [pid for pid in pids(repository) if alive(pid)] == []


def to_the_runner(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)


def as_a_terminal_does(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.parametrize("interrupt", [to_the_runner, as_a_terminal_does])
def test_an_interrupt_ends_everything_soon_and_still_writes_the_reports(repository, interrupt):
    repository.test("a", STUBBORN, gpus=1)
    process = repository.start("run", "tests/test_a.py", "--devices", "cpu:1", "--junit", "report.xml")
    started = pids(repository)
    begin = time.monotonic()
    interrupt(process)
    output, _ = process.communicate(timeout=DEADLINE)
    took = time.monotonic() - begin
    assert process.returncode == 130, output
    assert [pid for pid in started if alive(pid)] == []
    assert took < 40, "a machine under load; alone it takes 6 s"
    assert "interrupted     tests/test_a.py" in output
    assert "replay: trainci run" in output
    assert JUnitXml.fromfile(str(repository.path("report.xml"))).errors == 1


def test_a_killed_lease_process_is_the_machines_fault_and_the_test_runs_again(repository):
    repository.test(
        "a", f"if not Path('pids').exists():\n{textwrap.indent(textwrap.dedent(STUBBORN), '    ')}", gpus=1
    )
    process = repository.start("run", "tests/test_a.py", "--devices", "cpu:1")
    started = pids(repository)
    (launcher,) = psutil.Process(process.pid).children()
    leases = launcher.children()
    leases[0].kill()
    output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, output
    assert "attempt 1 was lost: the process that held the lease" in output
    assert [pid for pid in started if alive(pid)] == []


def test_a_killed_runner_leaves_no_process_and_the_next_run_says_what_was_cut_off(repository):
    repository.test("a", STUBBORN, gpus=1)
    repository.test("b", "pass")
    process = repository.start("run", "tests/test_a.py", "--devices", "cpu:1")
    started = pids(repository)
    process.kill()
    process.communicate()
    wait_until(lambda: not any(alive(pid) for pid in started), "the test's tree ended with its runner")
    assert "cut off" in repository.run("list", "tests/test_a.py")[1], "before any other run has told"
    code, output = repository.run("run", "tests/test_b.py")
    assert code == 0
    assert "an earlier run was killed during tests/test_a.py" in output
    _, listed = repository.run("list", "tests/test_a.py")
    assert "cut off" in listed


def test_junit_tells_passed_failed_and_refused_apart(repository):
    repository.test("good", "pass")
    repository.test("bad", r"sys.stdout.buffer.write(b'\x00\x1b[31m]]>\xff'); sys.exit(1)")
    repository.write("tests/test_odd.py", "NUM_GPUS = 4 if X else 8\n")
    code, output = repository.run("run", "tests/test_*.py", "--junit", "out/report.xml")
    assert code == 1, output
    report = JUnitXml.fromfile(str(repository.path("out/report.xml")))
    assert (report.tests, report.failures, report.errors) == (3, 1, 1)


def test_a_report_that_cannot_be_written_is_said_after_what_became_of_the_tests(repository):
    repository.test("a", "pass")
    code, output = repository.run("run", "tests/test_a.py", "--junit", "trainci.toml/report.xml")
    assert code == 0, "the tests decide"
    assert "1 passed" in output
    assert "trainci.toml/report.xml: the report cannot be written" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("passes", [True, False])
def test_a_summary_that_cannot_be_written_leaves_the_other_reports_and_the_exit_code_alone(repository, passes):
    repository.test("a", "pass" if passes else "sys.exit(1)")
    repository.environment["GITHUB_STEP_SUMMARY"] = str(repository.root)
    code, output = repository.run("run", "tests/test_a.py", "--junit", "report.xml")
    assert code == (0 if passes else 1)
    assert "which GitHub named, cannot be written" in output
    assert JUnitXml.fromfile(str(repository.path("report.xml"))).tests == 1


def test_a_report_of_an_earlier_run_does_not_stand_for_one_that_fails_early(repository):
    repository.test("a", "pass")
    for arguments in (
        ["nothing", "--junit", "report.xml"],
        ["tests/test_a.py", "--devices", "cuda", "--junit", "report.xml"],
        ["tests/test_a.py", "--junit", "report.xml", "--jobs", "0"],
        ["tests/test_a.py", "--no-such-option", "--junit=report.xml"],
        ["--junit", "report.xml", "--timeout"],
        ["--junit", "report.xml", "-q", "-v"],
    ):
        repository.path("report.xml").write_text("<testsuites/>")
        assert repository.run("run", *arguments)[0] == 2
        assert not repository.path("report.xml").exists(), arguments


def test_a_run_of_nothing_has_an_empty_report(repository):
    repository.test("a", "pass")
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "x"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *command], cwd=repository.root, check=True)
    repository.write("report.xml", "<testsuites><testsuite><testcase name='old'/></testsuite></testsuites>")
    code, output = repository.run("run", "--changed", "--base", "main", "tests/test_a.py", "--junit", "report.xml")
    assert (code, "nothing to run" in output) == (0, True), output
    assert JUnitXml.fromfile(str(repository.path("report.xml"))).tests == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_the_caller_ignores_stays_ignored(repository, number):
    """As under nohup, or in the background of a shell without job control."""
    repository.test("a", "Path('started').touch()\nwhile not Path('go').exists(): time.sleep(0.01)")
    wrapper = (
        f"import os, signal, sys; signal.signal({int(number)}, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", wrapper, TRAINCI, "run", "tests/test_a.py"],
        cwd=repository.root,
        env=repository.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: repository.path("started").exists(), "the test started")
    process.send_signal(number)
    repository.path("go").touch()
    output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, output


def test_signals_that_the_caller_blocks_are_heard_all_the_same(repository):
    """A blocked SIGCHLD is inherited: that a test has ended would never be heard."""
    repository.test("a", "import signal\nassert not signal.pthread_sigmask(signal.SIG_BLOCK, ())")
    wrapper = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-c", wrapper, TRAINCI, "run", "tests/test_a.py"]
    done = subprocess.run(
        ["timeout", "-s", "KILL", str(DEADLINE), *command],
        cwd=repository.root,
        env=repository.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_a_declaration_that_is_no_constant_is_refused_and_never_green(repository):
    repository.write("tests/test_odd.py", f"NUM_GPUS = 4 if X else 8\ndef execute(): pass\n{FOOTER}")
    code, output = repository.run("run", "tests/test_odd.py")
    assert code == 2
    assert "tests/test_odd.py:1: NUM_GPUS must be a whole number" in output


def test_durations_are_remembered(repository):
    repository.test("a", "pass")
    repository.run("run", "tests/test_a.py")
    _, output = repository.run("list")
    assert re.search(r"tests/test_a\.py +0 +60 min +\d+\.\d s +\d+\.\d s +passed +no", output), output


def test_init_then_run_short_is_green(repository):
    for file in (repository.path("trainci.toml"),):
        file.unlink()
    assert repository.run("init")[0] == 0
    code, output = repository.run("run", "short")
    assert code == 0, output


def test_two_runs_on_one_host_never_share_a_device(repository):
    """Both runs want all 4 devices; each notes when it holds them."""
    body = """
        with open("spans", "a") as file:
            begin = time.time()
            time.sleep(0.5)
            file.write(json.dumps([begin, time.time()]) + "\\n")
    """
    repository.test("a", body, gpus=4)
    runs = [repository.start("run", "tests/test_a.py", "--devices", "cpu:4") for _ in range(3)]
    for process in runs:
        output, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, output
    spans = sorted(json.loads(line) for line in repository.path("spans").read_text().splitlines())
    assert len(spans) == 3
    for (_, end), (begin, _) in itertools.pairwise(spans):
        assert end <= begin


def phased(repository: Repository, name: str, prepare: str, execute: str, gpus: int) -> None:
    """A test file that ends in ``main(prepare, execute)``."""
    bodies = [textwrap.indent(textwrap.dedent(body), "    ") for body in (prepare, execute)]
    repository.write(
        f"tests/test_{name}.py",
        f"from trainci.errors import MachineError\nfrom trainci.testing import main\n{HEADER.format(gpus=gpus)}\n"
        "def wait_for(path):\n    while not Path(path).exists():\n        time.sleep(0.02)\n\n"
        f"def prepare():\n{bodies[0]}\n\ndef execute():\n{bodies[1]}\n\n"
        'if __name__ == "__main__":\n    main(prepare, execute)\n',
    )


def test_a_test_is_prepared_while_another_holds_every_device(repository):
    """Each waits for the other: one after the other, neither would end."""
    phased(repository, "a", "pass", "Path('executing').touch(); wait_for('prepared')", gpus=4)
    told = "print('devices:', repr(os.environ['TRAINCI_DEVICES']), repr(os.environ['CUDA_VISIBLE_DEVICES']))"
    phased(
        repository,
        "b",
        f"{told}; wait_for('executing'); Path('prepared').touch()",
        "print(os.environ['TRAINCI_DEVICES'])",
        gpus=4,
    )
    code, output = repository.run("run", "tests/test_a.py", "tests/test_b.py", "--devices", "cpu:4")
    assert code == 0, output
    assert "tests/test_b.py | devices: '' ''" in output
    assert "tests/test_b.py | cpu-0,cpu-1,cpu-2,cpu-3" in output
    assert "2 passed" in output


def test_a_failed_prepare_phase_is_red_with_its_log_and_leases_nothing(repository):
    phased(repository, "a", "raise KeyError('no such model')", "Path('executed').touch()", gpus=2)
    code, output = repository.run("run", "tests/test_a.py", "--devices", "cpu:2", "--junit", "report.xml")
    assert code == 1, output
    assert "failed tests/test_a.py: KeyError: 'no such model'" in output
    assert "    at:     tests/test_a.py:" in output and "): in its prepare phase: exit code 1" in output
    assert "    | KeyError: 'no such model'" in output
    assert "granted" not in output
    assert not repository.path("executed").exists()
    assert JUnitXml.fromfile(str(repository.path("report.xml"))).failures == 1
    _, listed = repository.run("list", "tests/test_a.py")
    assert "failed" in listed


def test_a_machine_error_of_the_prepare_phase_is_not_the_tests_fault(repository):
    phased(repository, "a", "raise MachineError('the hub is down')", "pass", gpus=2)
    code, output = repository.run("run", "tests/test_a.py", "--devices", "cpu:2")
    assert code == 3, output
    assert "machine's fault tests/test_a.py: in its prepare phase" in output
    assert "    | trainci.errors.MachineError: the hub is down" in output


def test_the_time_limit_covers_both_phases(repository):
    phased(repository, "a", "time.sleep(1000)", "pass", gpus=2)
    code, output = repository.run("run", "tests/test_a.py", "--devices", "cpu:2", "--timeout", "1")
    assert code == 1, output
    assert "timed out       tests/test_a.py: in its prepare phase: ended by its time limit of 1 s" in output


def test_what_a_test_records_is_shown_beside_the_run_before(repository):
    """Also of a child, and also of a test that is killed right after it."""
    repository.test(
        "a",
        """
        from trainci.testing import record_metric
        value = float(Path("value").read_text())
        record_metric("grad_norm", value, step=10)
        child = "from trainci.testing import record_metric; record_metric('of a child', 0.5)"
        subprocess.run([sys.executable, "-c", child], check=True)
        os.kill(os.getpid(), 9)
        """,
    )
    for value in ("1.5", "nan"):
        repository.write("value", value)
        # Where the host says that it was not for want of memory, a kill came from outside.
        assert repository.run("run", "tests/test_a.py")[0] in (1, 3)
    code, output = repository.run("metrics", "tests/test_a.py", "tests/test_never.py")
    assert code == 0
    unknown, *lines = [re.sub(r" +", " ", line) for line in output.splitlines()]
    assert unknown == "trainci: nothing is known of tests/test_never.py yet. Did you mean tests/test_a.py?"
    assert lines[:2] == ["tests/test_a.py", " METRIC LAST STEP BEFORE RUN"]
    assert lines[2].startswith(" grad_norm nan 10 1.5 20")
    assert lines[3].startswith(" of a child 0.5 - 0.5 20")
    assert lines[4:] == ["tests/test_never.py", " no metric recorded yet"]


def test_a_reader_that_has_had_enough_leaves_the_run_and_its_exit_code_as_they_are(repository):
    body = """
        for _ in range(2000):
            print("x" * 100)
        Path("ended").touch()
        sys.exit(1)
    """
    repository.test("a", body)
    line = f"set -o pipefail; {shlex.quote(TRAINCI)} run tests/test_a.py --junit report.xml | head -1"
    done = subprocess.run(
        ["bash", "-c", line], cwd=repository.root, env=repository.environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert repository.path("ended").exists()
    assert JUnitXml.fromfile(str(repository.path("report.xml"))).failures == 1


def on_a_terminal(repository: Repository, *arguments: str, until: bytes) -> tuple[int, str]:
    """Exit code, and what it showed; the file ``go`` is there once it has shown ``until``."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [TRAINCI, *arguments],
        cwd=repository.root,
        env={**repository.environment, "TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(master, 65536):
            shown += data
            if until in shown:
                repository.path("go").touch()
    except OSError:  # EIO: nobody holds the terminal any more
        pass
    os.close(master)
    return process.wait(timeout=DEADLINE), shown.decode()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_terminal_shows_any_id_in_any_encoding(repository, encoding):
    repository.environment["PYTHONIOENCODING"] = encoding
    body = "os.write(1, 'loss → 0\\n'.encode())\nwhile not Path('go').exists(): time.sleep(0.01)"
    repository.test("a", body, gpus=1)
    entry = '{ path = "tests/test_a.py", args = ["/data/model"] }'
    repository.write("trainci.toml", f"[project]\n[suites.short]\ntests = [{entry}]\n")
    words = ("run", "short", "--devices", "cpu:2", "--verbose", "--timeout", "50")
    code, shown = on_a_terminal(repository, *words, until=b"1 of 2 virtual devices in use")
    assert code == 0, shown
    assert "1 of 2 virtual devices in use" in shown
    assert "tests/test_a.py[/data/model] | " in shown
    assert "passed tests/test_a.py[/data/model] in " in shown
    assert "Traceback" not in shown


STANDARD_OUTPUTS = {"a full disk": ">/dev/full", "closed": ">&-"}


@pytest.mark.parametrize("where", STANDARD_OUTPUTS)
@pytest.mark.parametrize("code", [0, 1])
def test_standard_output_that_cannot_be_written_is_told_once_and_the_tests_decide(repository, where, code):
    repository.test("a", f"print('hello')\nPath('ended').touch()\nsys.exit({code})")
    line = f"{shlex.quote(TRAINCI)} run tests/test_a.py --junit report.xml {STANDARD_OUTPUTS[where]}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=repository.root, env=repository.environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("standard output") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert JUnitXml.fromfile(str(repository.path("report.xml"))).tests == 1


def test_standard_error_that_is_closed_leaves_no_traceback_in_a_test_s_log(repository):
    repository.test("a", "print('hello')")
    line = f"{shlex.quote(TRAINCI)} run tests/test_a.py 2>&-"
    done = subprocess.run(
        ["bash", "-c", line], cwd=repository.root, env=repository.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "| hello" in done.stdout
    assert "Traceback" not in done.stdout


def test_no_line_is_lost_in_a_pipe_that_somebody_made_non_blocking(repository):
    repository.test("a", "for i in range(20000): print('line', i)")
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = subprocess.Popen(
        [TRAINCI, "run", "tests/test_a.py"], cwd=repository.root, env=repository.environment, stdout=writing
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = [line for line in pipe if "| line " in line]
    assert process.wait(DEADLINE) == 0
    assert len(lines) == 20000
