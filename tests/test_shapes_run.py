"""`trainci run` with tests of every shape, by real processes: what is green did run, and every part is told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import venv
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from trainci.history import open_store
from trainci.history.store import AttemptKey
from trainci.model.run import Cause, Ending, Phase
from trainci.paths import StatePaths
from trainci.probe import steps as probe

pytestmark = pytest.mark.slow


class Project:
    """A repository with one suite, ``short``, and a way to run it."""

    def __init__(self, repository: Any) -> None:
        self.repository = repository
        self.root: Path = repository.root

    def write(self, name: str, text: str) -> None:
        self.repository.write(name, textwrap.dedent(text))

    def suite(self, tests: str, more: str = "") -> None:
        self.write("trainci.toml", f"{more}\n[suites.short]\ntests = [{tests}]\n")

    def run(self, *arguments: str, **environment: str) -> Any:
        locks = {"TRAINCI_LOCK_DIR": str(self.root / ".locks"), **environment}
        words = arguments or ("short",)
        return self.repository.trainci("run", *words, "--devices", "cpu:4", "--junit", "j.xml", environment=locks)

    def cases(self) -> dict[str, str]:
        """The outcome of each case in the JUnit report."""
        return {
            case.get("name", ""): next((child.tag for child in case if child.tag[:6] != "system"), "passed")
            for case in ElementTree.parse(self.root / "j.xml").iter("testcase")
        }


@pytest.fixture
def project(repository: Any) -> Project:
    return Project(repository)


def _last(said: Any, count: int = 1) -> str:
    return "\n".join(said.out.splitlines()[-count:])


def test_a_file_of_tests_runs_as_pytest_and_each_item_stands_in_the_report(project: Project) -> None:
    project.suite('"tests/test_a.py"')
    project.write(
        "tests/test_a.py",
        """
        import pytest
        def test_good(): pass
        def test_bad(): assert 1 == 2
        @pytest.mark.skip(reason="no need")
        def test_skipped(): pass
        @pytest.fixture
        def broken(): raise RuntimeError
        def test_error(broken): pass
        """,
    )
    said = project.run()
    assert said.code == 1
    assert "): exit code 1: 1 passed, 1 skipped, 1 failed, 1 error\n" in said.out
    assert "    failed  tests.test_a::test_bad: " in said.out
    assert "    error   tests.test_a::test_error: " in said.out
    assert project.cases() == {
        "tests/test_a.py": "failure",
        "tests.test_a::test_good": "passed",
        "tests.test_a::test_bad": "failure",
        "tests.test_a::test_skipped": "skipped",
        "tests.test_a::test_error": "error",
    }


def test_a_file_of_tests_that_pass_is_passed_with_its_count(project: Project) -> None:
    project.suite('"tests/test_a.py"')
    project.write("tests/test_a.py", "import unittest\nclass It(unittest.TestCase):\n    def test_a(self): pass\n")
    said = project.run()
    assert said.code == 0 and " s: 1 passed\n" in said.out, said.out
    assert not list(project.root.glob(".trainci/runs/*/*.xml")), "its results are read and gone"


@pytest.mark.parametrize(
    ("body", "args", "outcome", "sentence"),
    [
        ("import pytest\npytestmark = pytest.mark.skip\ndef test_a(): pass", [], "skipped", "nothing ran: 1 item"),
        ("import pytest\npytest.importorskip('gone')\ndef test_a(): pass", [], "skipped", "nothing ran: 1 item"),
        ("def test_a(): pass", ["-k", "nothing"], "failed", "nothing ran: pytest collected no test"),
        ("import gone\ndef test_a(): pass", [], "failed", "exit code 2: 1 error"),
        ("import os\ndef test_a(): os._exit(0)", [], "failed", "exit code 0, but pytest did not come to its end"),
        ("def test_a(): pass\ndef test_b(): assert 0", ["-x"], "failed", "exit code 1: 1 passed, 1 failed"),
        ("def test_a(): pass", ["--junitxml=own.xml", "-o", "junit_family=xunit1"], "passed", "in "),
        ("def test_a(): pass", ["--", "tests"], "failed", "it exited with 0, but pytest left no results"),
    ],
)
def test_nothing_of_pytest_is_green_that_did_not_run(
    project: Project, body: str, args: list[str], outcome: str, sentence: str
) -> None:
    project.suite(f'{{ path = "tests/test_a.py", name = "a", args = {args} }}')
    project.write("tests/test_a.py", body)
    said = project.run()
    if args[:1] == ["--"]:
        assert said.code == 1, "what pytest was told to read as paths is no option any more"
    else:
        assert f"[1/1] {outcome} a" in said.out and sentence in said.out, said.out
    assert said.code == (1 if outcome == "failed" else 0)
    assert ("nothing ran: 1 skipped" in _last(said)) is (outcome == "skipped")


def test_an_exit_code_of_0_over_failed_items_is_red(project: Project) -> None:
    project.suite('"tests/test_a.py"')
    project.write("tests/test_a.py", "def test_a(): assert 0")
    project.write("tests/conftest.py", "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n")
    said = project.run()
    assert said.code == 1 and "exit code 0, but pytest said: 1 failed (tests/test_a.py::test_a)" in said.out


def test_results_that_are_planted_or_broken_are_red(project: Project) -> None:
    project.suite('"tests/test_a.py"')
    hook = (
        "def pytest_unconfigure(config):\n    import os, pathlib\n    path = pathlib.Path(config.option.xmlpath)\n"
    )
    project.write("tests/test_a.py", "def test_a(): pass")
    project.write("green.xml", '<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>')
    for planted in (
        "path.write_text('x')",
        "path.unlink(); path.symlink_to(pathlib.Path('green.xml').absolute())",
        "path.unlink(); os.mkfifo(path)",
    ):
        project.write("tests/conftest.py", f"import pytest\n@pytest.hookimpl(trylast=True)\n{hook}    {planted}\n")
        said = project.run()
        assert said.code == 1 and "so nothing shows that a test ran" in said.out, (planted, said.out)


def test_a_pipe_in_the_place_of_a_log_of_pytest_keeps_no_run_from_its_end(project: Project) -> None:
    project.suite('"tests/test_a.py"')
    project.write(
        "tests/test_a.py",
        "import os, pathlib\n\ndef test_a():\n"
        "    for log in pathlib.Path(os.environ['TRAINCI_METRICS_FILE']).parent.glob('*.log'):\n"
        "        log.unlink()\n        os.mkfifo(log)\n",
    )
    said = project.run()
    assert said.code == 0 and "1 passed in" in said.out, said.out


def test_a_script_that_ends_before_its_pytest_is_skipped(project: Project) -> None:
    script = "[ $HAS_IT ] || exit 0\npython -m pytest -q test_a.py"
    project.write("a.sh", f"# NUM_GPUS = 0\n{script}\n")
    project.write("test_a.py", "def test_a(): pass")
    project.suite(
        f'"a.sh", {{ name = "ran", path = "a.sh", env = {{ HAS_IT = "1" }} }}, {{ name = "s", steps = ["a.sh"] }},'
        f'{{ name = "c", command = ["bash", "-c", {json.dumps(script)}] }}'
    )
    said = project.run()
    assert said.code == 0 and "1 passed, 3 skipped" in _last(said), said.out
    assert [project.cases()[name] for name in ("a.sh", "s", "c", "ran")] == ["skipped"] * 3 + ["passed"]


def test_folders_single_tests_scripts_modules_and_commands_run(project: Project) -> None:
    project.suite(
        '"tests/utils", "tests/test_b.py::test_one", "run.sh", { module = "pack.age", args = ["x=1"] }, '
        '{ command = ["sh", "-c", "echo words ran on $TRAINCI_DEVICES"], name = "words", num_gpus = 2 }, '
        '{ path = "tests/**/test_*_on_cpu.py", exclude = ["**/test_slow*"] }',
    )
    project.write("tests/utils/test_u.py", "def test_u(): pass")
    project.write("tests/test_b.py", "def test_one(): pass\ndef test_two(): assert 0")
    project.write("tests/sub/test_c_on_cpu.py", "def test_c(): pass")
    project.write("tests/sub/test_slow_on_cpu.py", "def test_c(): assert 0")
    project.write("run.sh", "# NUM_GPUS = 3\necho script ran on $TRAINCI_DEVICES")
    project.write("pack/age.py", "import sys; print('module ran', sys.argv[1:])")
    said = project.run()
    assert said.code == 0 and _last(said).startswith("6 passed"), said.out
    for line in ("script ran on cpu-0,cpu-1,cpu-2", "module ran ['x=1']", "words ran on cpu-"):
        assert line in said.out
    assert set(project.cases()) >= {
        "tests/utils",
        "tests/test_b.py::test_one",
        "run.sh",
        "python -m pack.age['x=1']",
        "words",
        "tests/sub/test_c_on_cpu.py",
    }


_SAVE_AND_RESUME = """{ name = "save-then-resume", num_gpus = 2, steps = [
  { path = "run.sh", args = ["save"], env = { STEP = "1" } },
  { path = "run.sh", args = ["resume"] },
  { path = "tests/test_a.py" },
] }"""


def test_steps_run_one_after_another_in_one_lease_each_with_its_own_line(project: Project) -> None:
    project.suite(_SAVE_AND_RESUME)
    project.write("run.sh", 'echo "$1 $STEP on $TRAINCI_LEASE" >> seen')
    project.write("tests/test_a.py", "def test_a(): pass")
    said = project.run()
    assert said.code == 0, said.out
    (save, resume) = (line.split() for line in (project.root / "seen").read_text().splitlines())
    assert (save[:2], resume[0], save[-1]) == (["save", "1"], "resume", resume[-1])
    assert project.cases() == dict.fromkeys(
        [
            "save-then-resume",
            "step 1 of 3: run.sh[STEP=1 save]",
            "step 2 of 3: run.sh[resume]",
            "step 3 of 3: tests/test_a.py",
            "tests.test_a::test_a",
        ],
        "passed",
    )


def test_a_tests_environment_does_not_reach_the_process_that_runs_its_steps(project: Project) -> None:
    project.suite('{ name = "s", env = { PYTHONPATH = "evil" }, steps = ["run.sh", "run.sh"] }')
    project.write("run.sh", 'echo "step ran with $PYTHONPATH"')
    project.write("evil/json.py", "raise SystemExit('imported')")
    said = project.run()
    assert said.code == 0 and said.out.count(":evil\n") == 2, said.out  # behind the probe's own


def test_nothing_of_the_repository_gets_into_the_process_that_runs_the_steps(tmp_path: Path) -> None:
    for name in ("json.py", "subprocess.py", "typing.py"):
        (tmp_path / name).write_text("raise SystemExit('imported')")
    steps = json.dumps([{"name": "s", "command": ["sh", "-c", "echo ran in $PWD"], "env": {}}])
    words = [sys.executable, "-I", probe.__file__, str(tmp_path / "report"), steps]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and f"ran in {tmp_path}\n" in done.stdout
    assert json.loads((tmp_path / "report").read_text().splitlines()[-1])["exit_code"] == 0


def test_the_first_step_that_fails_ends_the_test_and_the_rest_is_told(project: Project) -> None:
    project.suite(_SAVE_AND_RESUME)
    project.write("run.sh", 'test "$1" = save || exit 7')
    project.write("tests/test_a.py", "def test_a(): pass")
    said = project.run()
    assert said.code == 1
    assert "failed save-then-resume: exit code 7: 1 passed, 1 skipped, 1 failed\n" in said.out
    assert "    failed  step 2 of 3: run.sh[resume]: exit code 7\n" in said.out
    assert "    skipped step 3 of 3: tests/test_a.py: not started\n" in said.out


def test_the_step_that_ran_when_the_test_was_ended_is_not_told_as_one_that_was_not_started(
    project: Project,
) -> None:
    project.suite(_SAVE_AND_RESUME)
    project.write("run.sh", 'test "$1" = save || kill -9 $PPID')
    project.write("tests/test_a.py", "def test_a(): pass")
    said = project.run()
    assert "    error   step 2 of 3: run.sh[resume]: had begun when the test was ended\n" in said.out, said.out
    assert "    skipped step 3 of 3: tests/test_a.py: not started\n" in said.out


@pytest.mark.parametrize(
    ("body", "addopts", "says"),
    [
        ("import os\ndef test_a(): os._exit(0)", "", "failed s: exit code 0, but pytest did not come to its end"),
        ("def test_a(): pass", "--collect-only", "failed s: it exited with 0, though 1 item failed"),
    ],
)
def test_a_step_of_pytest_that_ran_nothing_is_red_too(project: Project, body: str, addopts: str, says: str) -> None:
    project.suite('{ name = "s", steps = ["run.sh", "tests/test_a.py"] }')
    project.write("pytest.ini", f"[pytest]\naddopts = {addopts}\n")
    project.write("run.sh", "true")
    project.write("tests/test_a.py", body)
    said = project.run()
    assert said.code == 1 and says in said.out, said.out


def test_what_is_disabled_is_skipped_with_its_reason(project: Project) -> None:
    project.suite('"run.sh", { path = "tests/test_a.py", disabled = "flaky, see #12" }')
    project.write("run.sh", "true")
    project.write("tests/test_a.py", "def test_a(): assert 0")
    said = project.run()
    assert said.code == 0 and "skipped tests/test_a.py: disabled: flaky, see #12\n" in said.out
    project.suite('{ path = "tests/test_a.py", disabled = "flaky, see #12" }')
    said = project.run()
    assert said.code == 0 and _last(said).startswith("nothing ran: 1 skipped")


def test_a_retried_test_is_flaky_which_every_report_says_and_never_hides_its_first_failure(
    project: Project,
) -> None:
    project.suite('{ path = "run.sh", retries = 2 }')
    project.write("run.sh", "test -e seen || { touch seen; exit 7; }")
    said = project.run()
    sentence = "passed on attempt 2, with nothing changed; attempt 1: exit code 7"
    assert said.code == 0 and f"flaky run.sh: {sentence}\n" in said.out
    assert _last(said).startswith("1 flaky in ")
    report = (project.root / "j.xml").read_text()
    assert f'<flakyFailure message="{sentence}" type="flaky">' in report and 'failures="0" errors="0"' in report
    (project.root / "seen").unlink()
    project.suite('{ path = "run.sh", retries = 2, fail_on_flaky = true }')
    said = project.run()
    assert said.code == 1 and _last(said).startswith("1 flaky in ")
    assert 'failures="1"' in (project.root / "j.xml").read_text()
    project.write("run.sh", "cat nothing; exit 7")
    said = project.run()
    assert said.code == 1 and "failed run.sh: cat: nothing: No such file or directory\n" in said.out


def test_after_a_fault_of_its_device_a_test_is_tried_again_on_another_and_the_suspect_is_in_the_ledger(
    project: Project,
) -> None:
    project.suite('{ path = "run.sh", num_gpus = 1 }')
    project.write("run.sh", "echo on $TRAINCI_DEVICES; test -e seen || { touch seen; echo GPU is lost; exit 1; }")
    said = project.run()
    assert said.code == 0 and "on cpu-0\n" in said.out and "on cpu-1\n" in said.out
    (noted,) = (project.root / ".locks" / "ledger").read_text().splitlines()
    assert '"action": "suspect", "what": "cpu-0", "reason": "run.sh: a GPU left the bus' in noted


def test_a_device_whose_failures_cannot_be_chance_is_named_after_its_third_run_and_handed_out_no_more(
    project: Project,
) -> None:
    """On cpu-0 a test does not end 3 of 3 times, while it passed 23 of 23 on two others."""
    project.suite('{ path = "run.sh", num_gpus = 1, timeout_minutes = 0.03 }')
    project.write("run.sh", 'if test "$TRAINCI_DEVICES" = cpu-0; then sleep 600; fi; echo done')
    with closing(open_store(StatePaths(project.root))) as store:
        for number in range(23 + 2):
            key = AttemptKey(f"before-{number}", "run.sh", 1)
            store.begin_run(key.run_id, "c", "virtual", 1.0, socket.gethostname())
            store.begin_attempt(key, 1, "log", 1.0)
            store.set_devices(key, ("cpu-0" if number >= 23 else f"cpu-{1 + number % 2}",))
            store.end_attempt(key, Phase.BOTH, Ending(Cause.EXITED, 0), 2.0, number >= 23)
    said = project.run()
    assert said.code == 1 and "timed out" in said.out
    evidence = "cpu-0 failed 3 of 3 while the others passed 23 of 23"
    assert f"quarantined {evidence} (by chance: 0.005)" in said.out
    assert f'"what": "cpu-0", "reason": "{evidence}' in (project.root / ".locks" / "ledger").read_text()
    said = project.run()
    assert said.code == 0 and "quarantined" not in said.out


def test_what_a_rank_printed_for_itself_alone_decides_and_its_secrets_are_no_more_told_than_others(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", "hunter2hunter2")
    project.suite('{ path = "run.sh", secrets = ["HUB_TOKEN"], num_gpus = 0, retries = { machine = 0 } }')
    project.write(
        "run.sh",
        """rank=$PET_LOG_DIR/none_a/attempt_0/1; mkdir -p $rank
printf 'Traceback (most recent call last):\\n  File "t.py", line 3, in load\\n' > $rank/stderr.log
echo "OSError: [Errno 116] Stale file handle: '/data/$HUB_TOKEN'" >> $rank/stderr.log
echo 'torch.distributed.elastic.multiprocessing.errors.ChildFailedError:'
echo 'exitcode  : 1 (pid: 4711)'; exit 1""",
    )
    said = project.run()
    assert "why:    machine (rule file-system-broken, line 5 of the log)" in said.out
    assert "[default1]:OSError: [Errno 116] Stale file handle: '/data/***" in said.out and "hunter2" not in said.out


def test_the_first_cause_is_found_where_torchrun_redirects_what_ranks_print(project: Project) -> None:
    pytest.importorskip("torch")
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--redirects",
        "3",
        "--nproc-per-node",
        "2",
        "train.py",
    ]
    project.suite(f'{{ command = {json.dumps(launch)}, name = "train", num_gpus = 0 }}')
    project.write("train.py", "import os\nif os.environ['RANK'] == '1':\n    raise ValueError('no such batch')\n")
    said = project.run()
    assert "failed: train\n    ValueError: no such batch\n" in said.out and "[default1]:ValueError" in said.out
    assert "why:    code (rule exception, line " in said.out


def test_a_host_whose_failures_cannot_be_chance_is_named_and_its_devices_are_handed_out(project: Project) -> None:
    """Of one shared history: gpu-7 hung 4 of 4 on any device, two other hosts passed 23 of 23."""
    project.suite('{ path = "run.sh", num_gpus = 1 }')
    project.write("run.sh", "echo done")
    with closing(open_store(StatePaths(project.root))) as store:
        for number in range(23 + 4):
            key, bad = AttemptKey(f"before-{number}", "run.sh", 1), number >= 23
            store.begin_run(key.run_id, "c", "GPU", 1.0, "gpu-7" if bad else f"gpu-{number % 2}")
            store.begin_attempt(key, 1, "log", 1.0)
            store.set_devices(key, (f"GPU-{number % 4}",))
            store.end_attempt(key, Phase.BOTH, Ending(Cause.EXITED, 0), 2.0, bad)
    said = project.run()
    assert said.code == 0
    assert "host gpu-7 failed 4 of 4 while the others passed 24 of 24 (by chance: 0.002)" in said.out
    assert "quarantined" not in said.out and not (project.root / ".locks" / "ledger").exists()


def test_a_test_in_quarantine_runs_is_reported_and_fails_no_run_until_its_time_is_over(project: Project) -> None:
    project.write("run.sh", "# NUM_GPUS = 0\necho it runs; exit 7")
    known_bad = '[[quarantine]]\ntest = "run.sh"\nowner = "ana"\nreason = "see #12"\nuntil = '
    project.suite('"run.sh"', f"{known_bad}2999-12-31")
    said = project.run()
    assert said.code == 0 and "it runs" in said.out and "failed run.sh: exit code 7" in said.out
    assert "in quarantine until 2999-12-31 (ana): see #12" in said.out
    assert _last(said).startswith("1 failed, 1 of them in quarantine in ")
    assert project.cases() == {"run.sh": "skipped"}
    assert project.repository.trainci("check").code == 0
    project.suite('"run.sh"', f"{known_bad}2026-01-01")
    assert project.run().code == 1
    report = (project.root / "j.xml").read_text()
    assert "[[quarantine]]\ntest = &quot;run.sh&quot;" in report or '[[quarantine]]\ntest = "run.sh"' in report
    checked = project.repository.trainci("check")
    assert checked.code == 1 and "[quarantine-over]" in checked.out
    project.suite('"run.sh"', f"{known_bad}tomorrow")
    assert project.run().code == 2


def test_settings_of_project_suite_and_entry_the_inner_wins(project: Project) -> None:
    project.suite(
        '"run.sh", { path = "run.sh", env = { B = "entry" } }',
        '[project]\nenv = { A = "project", B = "project", C = "project" }',
    )
    text = (project.root / "trainci.toml").read_text()
    project.write("trainci.toml", text.replace("[suites.short]", '[suites.short]\nenv = { C = "suite" }'))
    project.write("run.sh", "echo $A $B $C")
    said = project.run()
    assert "project project suite\n" in said.out and "project entry suite\n" in said.out


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that trainci is not installed in."""
    home = tmp_path_factory.mktemp("other")
    venv.create(home, with_pip=False, symlinks=True)
    return home / "bin" / "python"


def test_tests_run_on_the_projects_python_and_trainci_may_live_elsewhere(
    project: Project, other_python: Path
) -> None:
    project.suite('"tests/a.py", "run.sh"')
    project.write(
        "tests/a.py", "import sys\nNUM_GPUS = 0\nif __name__ == '__main__':\n    print('on', sys.prefix)\n"
    )
    project.write("run.sh", "# NUM_GPUS = 0\npython -c 'import sys; print(\"sh on\", sys.prefix)'")
    home = str(other_python.parent.parent)
    for where in ("environment", "folder", "key"):
        environment = {"VIRTUAL_ENV": home} if where == "environment" else {}
        if where == "folder":
            (project.root / ".venv").symlink_to(home)
        if where == "key":
            (project.root / ".venv").unlink()
            project.suite('"tests/a.py", "run.sh"', f'[project]\npython = "{other_python}"')
        said = project.run(**environment)
        expected = str(project.root / ".venv") if where == "folder" else home
        assert said.code == 0, said.out
        assert f"on {expected}\n" in said.out and f"sh on {expected}\n" in said.out
        assert said.out.startswith(f"python: {expected}/bin/python\n")
    subprocess.run([str(other_python), "-c", "import trainci"], check=False, capture_output=True)
    assert sys.prefix != home


def test_torchrun_is_refused_without_a_device_and_gets_its_ranks(project: Project) -> None:
    project.suite('{ path = "tests/dist.py", runner = "torchrun", num_gpus = 2 }')
    project.write("tests/dist.py", "main()\n")
    said = project.run("short", "--dry-run")
    assert "-m torch.distributed.run --nproc-per-node=2 tests/dist.py\n" in said.out
    project.suite('{ path = "tests/dist.py", runner = "torchrun" }')
    said = project.run("short", "--dry-run")
    assert said.code == 2 and "refused: trainci.toml:3: torchrun starts one process a device" in said.out


def test_two_torchruns_at_once_meet_on_the_ports_of_their_leases(project: Project) -> None:
    pytest.importorskip("torch")
    entry = '{ path = "tests/dist.py", runner = "torchrun", num_gpus = 2, timeout_minutes = 3, args = ["%s"] }'
    project.suite(f'{entry % "a"}, {entry % "b"}, {{ path = "run.sh", num_gpus = 0 }}')
    project.write("run.sh", 'echo "shell $PET_MASTER_PORT" | grep "shell $MASTER_PORT"')
    project.write(
        "tests/dist.py",
        """
        import os, sys
        import torch.distributed as dist
        dist.init_process_group("gloo")
        rank, size = dist.get_rank(), dist.get_world_size()
        leased, port = os.environ["TRAINCI_PORT_BASE"], os.environ["MASTER_PORT"]
        # Whole, as two ranks write into one pipe, and print writes word for word.
        sys.stdout.write(f"rank {rank} of {size} leased {leased} meets at {port}\\n")
        # Who leaves before the other has connected breaks its connection.
        dist.barrier()
        dist.destroy_process_group()
        """,
    )
    said = project.run()
    assert said.code == 0, said.out
    met = [line.split() for line in said.out.splitlines() if " of 2 leased " in line]
    ports = {words[-1] for words in met}
    assert len(met) == 4 and len(ports) == 2 and all(words[-1] == words[-4] for words in met), met


def test_what_two_suites_start_in_different_ways_are_two_tests(project: Project) -> None:
    project.write(
        "trainci.toml",
        '[suites.a]\nenv = { E = "1" }\ntests = ["run.sh"]\n[suites.b]\nenv = { E = "2" }\ntests = ["run.sh"]\n'
        '[suites.c]\nenv = { E = "1" }\ntimeout_minutes = 5\ntests = ["run.sh"]\n',
    )
    project.write("run.sh", "# NUM_GPUS = 0\necho $0 has $E\n")
    assert "run.sh has 1" in project.run("--id", "run.sh").out
    said = project.run("a", "b", "c")
    assert said.code == 0
    assert "[2/2] passed" in said.out
    assert "run.sh in b | run.sh has 2" in said.out
    assert "nothing is wrong" in project.repository.trainci("check").out


def test_one_name_for_two_tests_is_refused_and_found(project: Project) -> None:
    entry = 'tests = [{ path = "run.sh", name = "run" }]'
    project.write(
        "trainci.toml", f'[suites.a]\nenv = {{ E = "1" }}\n{entry}\n[suites.b]\nenv = {{ E = "2" }}\n{entry}\n'
    )
    project.write("run.sh", "# NUM_GPUS = 0\ntrue\n")
    assert "refused: trainci.toml:6: is registered twice" in project.run("--id", "run", "--dry-run").out
    assert (
        "trainci.toml:6: run is at trainci.toml:3, too, with other settings."
        in project.repository.trainci("check").out
    )


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('{ name = "x", command = ["true"] }', "trainci.toml:3: nothing would run: `true` succeeds always."),
        ('{ name = "x", command = ["bash", "-c", "pytest a || true"] }', "`|| true` throws the exit code away"),
        ('{ name = "x", command = ["bash", "-ec", "pytest a | tee log"] }', "the exit code of a pipe is that of"),
        ('{ name = "x", module = "pack.idle" }', "pack/idle.py:1: nothing would run"),
        ('{ path = "empty.sh", num_gpus = 0 }', "empty.sh:1: nothing would run: the script holds no command."),
        ('{ path = "drops.py", runner = "torchrun", num_gpus = 2 }', "drops.py:4: the exit code of `os.system`"),
        ('{ path = "idle.py", runner = "torchrun", num_gpus = 2 }', "idle.py:1: nothing would run"),
    ],
)
def test_what_can_only_be_green_is_refused_in_every_shape(project: Project, entry: str, says: str) -> None:
    project.suite(entry)
    project.write("pack/idle.py", "def main():\n    assert False\n")
    project.write("idle.py", "def main():\n    assert False\n")
    project.write("empty.sh", "#!/bin/bash\n# python train.py\n")
    project.write("drops.py", 'import os\n\nif __name__ == "__main__":\n    os.system("python x.py")\n')
    assert says in project.repository.trainci("check").out
    said = project.run()
    assert said.code == 2
    assert says in said.out


def test_a_shell_that_is_given_its_script_as_a_word_runs(project: Project) -> None:
    project.suite('{ name = "x", command = ["bash", "-euo", "pipefail", "-c", "python -c pass | cat", "a"] }')
    assert project.run().code == 0


def test_a_module_of_the_repository_runs(project: Project) -> None:
    project.suite('{ module = "pack.program" }')
    project.write("pack/program.py", 'def main():\n    print("ran")\n\nmain()\n')
    assert project.run().code == 0


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (
            '{ command = ["bash", "-c", "code=$(echo 0); PYTHONPATH=. pytest tests/test_bad.py; exit $code"] }',
            "failed x: exit code 0, but pytest said: 1 failed",
        ),
        ('{ command = ["pytest", "tests/test_skipped.py"] }', "skipped x: nothing ran: 2 items skipped"),
        ('"drops.sh"', "failed x: exit code 0, but pytest said: 1 failed (tests/test_bad.py::test_a)"),
    ],
)
def test_a_step_that_runs_pytest_by_itself_is_judged_by_its_items(project: Project, step: str, says: str) -> None:
    project.suite(f'{{ name = "x", steps = [{step}] }}')
    project.write("tests/test_bad.py", "def test_a(): assert 0")
    project.write("tests/test_skipped.py", "import pytest\n@pytest.mark.skip\ndef test_a(): pass")
    project.write("drops.sh", "code=$(echo 0)\npytest tests/test_bad.py\nexit $code\n")
    said = project.run()
    assert says in said.out, said.out
