"""The generated workflow, run by act on this machine."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from github.workflows.conftest import (
    HANGS,
    WORKFLOW,
    assert_leases_are_free,
    cancelled,
    generated,
    parsed,
    pull_request,
    wait_for,
)

from trainci.executors.words import GRACE_SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = """\
[project]
install = "test -f trainci.toml"

[workflow]
lock_dir = "{leases}"
queue_minutes = 10

[suites.short]
tests = ["tests/test_ok.py", {{ path = "tests/test_ok.py", args = ["--what", "$(touch hacked) `x`"] }}]
devices = "cpu:2"

[suites.broken]
tests = ["tests/test_red.py"]
devices = "cpu:2"

[suites.hang]
tests = ["tests/test_hang.py"]
devices = "cpu:2"

[suites.changed]
select = "changed"
devices = "cpu:2"
"""
OK = """\
import os, sys
NUM_GPUS = 1
if __name__ == "__main__":
    print("args", sys.argv[1:], "devices", os.environ["TRAINCI_DEVICES"])
"""
RED = """\
NUM_GPUS = 2
if __name__ == "__main__":
    raise SystemExit("the loss is not finite")
"""


@pytest.fixture
def case(repository, work):
    (work / "seen").mkdir()
    repository.trainci("init")
    repository.write("trainci.toml", CONFIG.format(leases=work / "leases"))
    repository.write("tests/test_ok.py", OK)
    repository.write("tests/test_red.py", RED)
    repository.write("tests/test_hang.py", HANGS.replace("SEEN", str(work / "seen")))
    generated(repository)
    repository.init()
    return repository


def labeled(name, *others):
    return pull_request("labeled", [name, *others], name)


def test_a_label_runs_its_suite_and_only_it(case, host_act):
    ran = host_act.run(case.root, "pull_request", labeled("run-ci-short", "run-ci-broken", "bug"))
    assert ran.code == 0, ran.output
    assert len(ran.kept("e2e-test-short")) == len(list(ran.artifacts.iterdir())) == 2
    assert "args ['--what', '$(touch hacked) `x`'] devices cpu-" in ran.output
    for path in ran.artifacts.iterdir():
        assert not (path / "hacked").exists()
        assert 'failures="0"' in (path / "junit.xml").read_text()
    assert "### trainci · 2 virtual devices, no GPU" in ran.output
    assert "| ✅ passed | <code>tests/test&#95;ok.py</code> |" in ran.output


def test_another_label_starts_nothing(case, host_act):
    ran = host_act.run(case.root, "pull_request", labeled("bug", "run-ci-short"))
    assert ran.code == 0, ran.output
    assert not list(ran.artifacts.iterdir())
    assert "Run Set up job" not in ran.output


def test_a_run_by_hand_runs_the_chosen_suite_at_any_ref(case, host_act):
    """Nobody opens a dummy pull request to test a branch."""
    case.git("checkout", "--quiet", "-b", "release/1.0")
    case.write("tests/test_ok.py", OK.replace('"args"', '"release", "args"'))
    case.commit("release")
    case.git("checkout", "--quiet", "main")
    asked = {"inputs": {"suite": "short", "ref": "release/1.0"}, "ref": "refs/heads/main"}
    ran = host_act.run(case.root, "workflow_dispatch", {**asked, "repository": labeled("x")["repository"]})
    assert ran.code == 0, ran.output
    assert ran.output.count("release args") == len(list(ran.artifacts.iterdir())) == 2


def test_a_failing_test_fails_the_job_with_an_annotation_a_summary_and_its_logs(case, host_act):
    ran = host_act.run(case.root, "pull_request", labeled("run-ci-broken"))
    assert ran.code == 1, ran.output
    assert "Job failed" in ran.output
    assert "::error file=tests/test_red.py,line=1,title=tests/test_red.py::exit code 1" in ran.output
    assert "| ❌ failed | <code>tests/test&#95;red.py</code> |" in ran.output
    assert " | cpu-0, cpu-1 |" in ran.output
    assert "<pre>trainci run broken --id tests/test&#95;red.py --devices cpu&#58;2" in ran.output
    (kept,) = ran.kept("e2e-test-broken")
    assert 'failures="1"' in (kept / "junit.xml").read_text()
    (log,) = kept.glob("runs/*/*.log")
    assert "the loss is not finite" in log.read_text()


def test_no_changed_tests_is_green_and_says_so(case, host_act):
    ran = host_act.run(case.root, "pull_request", labeled("run-ci-changed"))
    assert ran.code == 0, ran.output
    assert "No changed tests relative to origin/main: nothing to run." in ran.output
    assert not list(ran.artifacts.iterdir())


# As a pull request may call a file.
HOSTILE = "tests/test_$(touch hacked)`touch hacked`'\"]]>::set-output name=x::y\n.py"


def test_changed_tests_become_a_matrix_and_one_that_cannot_be_read_is_red(case, host_act, work):
    case.git("checkout", "--quiet", "-b", "topic")
    case.write("tests/test_ok.py", OK + "# changed\n")
    case.write("tests/test_greedy.py", "NUM_GPUS = 10**9\nif __name__ == '__main__':\n    print('greedy ran')\n")
    case.write(
        "tests/test_unread.py", "NUM_GPUS = len('abc')\nif __name__ == '__main__':\n    print('unread ran')\n"
    )
    case.write(HOSTILE, "NUM_GPUS = 1\nif __name__ == '__main__':\n    print('hostile ran')\n")
    case.commit("change")
    ran = host_act.run(case.root, "pull_request", labeled("run-ci-changed"))
    assert ran.code == 1, ran.output
    assert "hostile ran" in ran.output
    assert not [*case.root.rglob("hacked"), *work.rglob("hacked")], "what its name would run"
    assert "greedy ran" not in ran.output
    assert "unread ran" not in ran.output
    assert "1000000000 devices" in ran.output
    assert "tests/test_unread.py:1: NUM_GPUS must be a whole number" in ran.output
    assert ran.output.count("| ✅ passed |") == 6, (
        "two variants of tests/test_ok.py and the hostile one, and all again in the last job"
    )
    assert len(ran.kept("e2e-test-changed")) == 5


def against(branch):
    payload = labeled("run-ci-changed")
    payload["pull_request"]["base"]["ref"] = branch
    return payload


def test_a_pull_request_against_a_release_is_compared_with_it_and_its_suite_has_one_result(case, host_act):
    case.git("checkout", "--quiet", "-b", "release/1.0")
    case.write("tests/test_red.py", RED + "# in the release\n")
    case.commit("release")
    case.git("checkout", "--quiet", "-b", "topic")
    case.write("tests/test_ok.py", OK + "# changed\n")
    case.commit("change")
    ran = host_act.run(case.root, "pull_request", against("release/1.0"))
    assert ran.code == 0, ran.output
    assert len(ran.kept("e2e-test-changed")) == 2, "the two variants of tests/test_ok.py"
    assert "All is well (tests: success, finding the changed ones: success)." in ran.output


def test_where_changed_tests_cannot_be_found_the_result_of_the_suite_is_red(case, host_act):
    """The tests are skipped then, and GitHub counts skipped as passed."""
    ran = host_act.run(case.root, "pull_request", against("nowhere"))
    assert ran.code == 1, ran.output
    assert "the base branch origin/nowhere is not in this clone" in ran.output
    assert "::error::Not every test passed (tests: skipped, finding the changed ones: failure)." in ran.output
    assert not list(ran.artifacts.iterdir())


def test_the_signal_of_a_cancelling_runner_reaches_trainci_which_still_reports(case, host_bin, work):
    """A runner signals the step's shell alone, and a shell passes nothing on: hence the step's `exec`."""
    job = parsed((case.root / WORKFLOW).read_text())["jobs"]["e2e-test-hang"]
    script = next(step["run"] for step in job["steps"] if step["name"] == "Run the test")
    (case.root / "step.sh").write_text(script)
    environment = {
        **os.environ,
        "PATH": f"{host_bin}:{os.environ['PATH']}",
        "TEST_ID": "tests/test_hang.py",
        "DEVICES": "cpu:2",
        "TRAINCI_LOCK_DIR": str(work / "leases"),
    }
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "step.sh"]
    with subprocess.Popen(shell, cwd=case.root, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: (work / "seen/started").exists() or process.poll() is not None, 60)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert "interrupted" in (case.root / ".trainci/junit.xml").read_text()
    assert_leases_are_free(work / "leases")


def test_a_cancelled_test_has_ended_before_the_runner_would_kill_it():
    """SIGINT, 7.5 s later SIGTERM, 2.5 s later the end of the step's processes:
    https://docs.github.com/actions/reference/workflows-and-actions/workflow-cancellation
    """
    assert GRACE_SECONDS <= 5


def test_a_cancelled_job_leaves_no_process_and_no_lease(case, host_act, work):
    cancelled(host_act, case.root, labeled("run-ci-hang"), work / "seen")
    assert_leases_are_free(work / "leases")
