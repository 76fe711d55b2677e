"""``trainci run --executor slurm`` on a real Slurm: Debian's, four nodes on this host."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support import running, wait_until

pytestmark = pytest.mark.slow
TEST = "NUM_GPUS = {gpus}\nif __name__ == '__main__':\n    {body}\n"


@pytest.fixture(autouse=True)
def on_slurm(slurm_cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / "locks"))
    for name, value in slurm_cluster.environment.items():
        monkeypatch.setenv(name, value)


def write(repository, settings="", **bodies):
    repository.write("trainci.toml", f'{settings}[suites.short]\ntests = ["tests/test_*.py"]\n')
    for name, body in bodies.items():
        repository.write(f"tests/test_{name}.py", TEST.format(gpus=2, body=body))


def environment():
    return {name: os.environ[name] for name in ("TRAINCI_LOCK_DIR", "SLURM_CONF")}


def run(repository, *arguments):
    arguments = ("run", "run-ci-short", "--executor", "slurm", "--devices", "cpu:8", *arguments)
    return repository.trainci(*arguments, environment=environment())


def in_background(repository, *arguments):
    words = ["run", "run-ci-short", "--executor", "slurm", "--devices", "cpu:8", *arguments]
    return running(repository.root, words, {**os.environ, **environment()})


def mine(cluster, repository):
    """The ids of the jobs of this repository's that are not over; those of other tests may take a moment to be."""
    runs = tuple(f"trainci:{run.name}:" for run in (repository.root / ".trainci/runs").glob("*"))
    lines = (line.split("|") for line in cluster("squeue", "--noheader", "--format=%i|%k").split())
    return [job for job, comment in lines if comment.startswith(runs)]


def cancel(cluster, *jobs):
    """As an administrator does: not in the second in which they begin, as their node does."""
    runs_for = ("squeue", "--noheader", f"--jobs={','.join(jobs)}", "--format=%M")
    wait_until(lambda: all(time >= "0:03" for time in cluster(*runs_for).split()), "them to have run for a while")
    cluster("scancel", *jobs)


@contextlib.contextmanager
def drained(cluster):
    """A cluster whose nodes begin nothing, until what this gives is called; all is ready again afterwards."""
    every = f"nodename={','.join(cluster.nodes)}"
    cluster("scontrol", "update", every, "state=drain", "reason=test")
    try:
        yield functools.partial(cluster, "scontrol", "update", every, "state=resume")
    finally:
        cluster.ready()


def assert_none_is_left(cluster, repository):
    """A job that was ended is listed until its node has said so."""
    wait_until(lambda: not mine(cluster, repository), "the end of every job")


def events_of(repository):
    (log,) = (repository.root / ".trainci/runs").glob("*/events.jsonl")
    # It may be in the middle of a line.
    return [json.loads(line) for line in log.read_text().split("\n")[:-1]]


def test_a_label_runs_on_slurm_with_the_events_the_reports_and_the_exit_code_of_a_host(repository):
    write(repository, good="print('trained')", bad="raise SystemExit(5)")
    said = run(repository, "--junit", "report.xml")
    assert said.code == 1, said.out + said.err
    assert "tests/test_good.py | trained" in said.out
    assert "failed          tests/test_bad.py: exit code 5" in said.out
    assert "replay: trainci run --id tests/test_bad.py --executor slurm --devices cpu:8" in said.out
    assert 'failures="1"' in (repository.root / "report.xml").read_text()
    told = [event["kind"] for event in events_of(repository) if event.get("test_id") == "tests/test_good.py"]
    told = [kind for kind in told if kind != "waiting"]
    assert told == ["queued", "granted", "started", "ended", "verdict"]
    left = [path.name for path in (repository.root / ".trainci/runs").glob("*/*") if path.suffix == ".job"]
    assert left == [], "what only the node was to read"


def test_a_dry_run_prints_the_script_and_submits_nothing(repository, slurm_cluster):
    write(repository, good="print('trained')")
    before = slurm_cluster("squeue", "--noheader", "--states=all")
    said = run(repository, "--dry-run")
    assert said.code == 0
    assert "| #SBATCH --job-name=trainci-tests-test_good.py" in said.out
    assert "| #SBATCH --cpus-per-task=2" in said.out
    assert slurm_cluster("squeue", "--noheader", "--states=all") == before


def test_what_trainci_toml_says_of_slurm_is_in_the_script_and_a_suite_names_its_executor(repository):
    settings = (
        '[executors.slurm]\npartition = "urgent"\naccount = "ml"\nqos = "high"\ngres = "gpu:h100"\n'
        'setup = ["module() { echo loaded; PATH=/opt/site/bin:$PATH; }", "module load cuda"]\n'
        'container = ["env", "IMAGE={image}"]\n'
        '[project]\nexecutor = "slurm"\nimage = "hub/image:1"\n'
    )
    write(repository, settings, good="import os; print('image', os.environ['IMAGE']); print(os.environ['PATH'])")
    said = repository.trainci("run", "short", "--dry-run", environment=environment())
    for line in ("--partition=urgent", "--account=ml", "--qos=high", "--gres=gpu:h100:2"):
        assert f"| #SBATCH {line}\n" in said.out
    assert "| module load cuda\n" in said.out
    assert f"command: env IMAGE=hub/image:1 {sys.executable} tests/test_good.py\n" in said.out
    repository.write(
        "trainci.toml",
        (repository.root / "trainci.toml")
        .read_text()
        .replace('account = "ml"\n', "")
        .replace('qos = "high"\n', ""),
    )
    said = repository.trainci("run", "short", "--devices", "cpu:8", environment=environment())
    assert said.code == 0, said.out
    assert "tests/test_good.py | loaded\n" in said.out
    assert "tests/test_good.py | image hub/image:1\n" in said.out
    assert f"tests/test_good.py | {Path(sys.executable).parent}:/opt/site/bin:" in said.out


def test_a_partition_that_does_not_exist_is_said_in_slurms_own_words(repository):
    write(
        repository, '[executors.slurm]\npartition = "nowhere"\n[verdicts]\nretries = 0\n', good="print('trained')"
    )
    said = run(repository)
    assert said.code == 3
    assert "Slurm does not take its job: " in said.out and "partition" in said.out


def test_an_interrupted_run_leaves_no_job_behind(repository, slurm_cluster):
    write(repository, one="import time; time.sleep(1000)", two="import time; time.sleep(1000)")
    with in_background(repository) as process:
        wait_until(lambda: len(mine(slurm_cluster, repository)) == 2, "both jobs to be submitted")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert_none_is_left(slurm_cluster, repository)


def test_what_a_job_waits_for_is_an_event_of_the_run(repository, slurm_cluster):
    write(repository, one="print('trained')")
    with drained(slurm_cluster) as resume, in_background(repository) as process:
        wait_until(lambda: mine(slurm_cluster, repository), "the job to be submitted")
        wait_until(lambda: "waiting" in [event["kind"] for event in events_of(repository)], "why it waits")
        resume()
        out, _ = process.communicate(timeout=60)
    (waiting,) = (event for event in events_of(repository) if event["kind"] == "waiting")
    assert process.returncode == 0, out
    assert waiting["ahead"] is None and "of Slurm waits for" in waiting["why"]
    assert f"tests/test_one.py: waits: {waiting['why']}" in out


def test_a_run_goes_on_while_slurm_does_not_know_who_asks_and_says_so_of_what_waits(repository, slurm_cluster):
    """Without munge every command is answered by an authentication error."""
    write(repository, a="print('trained')")
    with drained(slurm_cluster) as resume, in_background(repository) as process:
        wait_until(lambda: mine(slurm_cluster, repository), "the job to be submitted")
        slurm_cluster.kill("munged")
        try:
            # Its commands try for a long time by themselves.
            wait_until(lambda: "Slurm does not answer: " in str(of_test(repository, "a")), "that to be told", 180)
        finally:
            slurm_cluster.start_munge()
        wait_until(lambda: slurm_cluster("sinfo", "--noheader", check=False), "Slurm to answer")
        resume()
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert "tests/test_a.py: waits: Slurm does not answer: " in out and "1 passed" in out
    assert_none_is_left(slurm_cluster, repository)


def test_no_secret_is_in_what_slurm_keeps_of_a_job(repository, slurm_cluster):
    write(
        repository,
        '[project]\nsecrets = ["HF_TOKEN"]\n',
        one="import os, time; print(os.environ['HF_TOKEN']); time.sleep(1000)",
    )
    os.environ["HF_TOKEN"] = "hf_secret-1234"
    try:
        with in_background(repository) as process:
            logs = functools.partial(repository.root.glob, ".trainci/runs/*/*.log")
            wait_until(lambda: any("***" in log.read_text() for log in logs()), "what it printed")
            (job,) = mine(slurm_cluster, repository)
            said = slurm_cluster("scontrol", "show", "job", "--details", job)
            script = slurm_cluster("scontrol", "write", "batch_script", job, "-")
            kept = [path.read_bytes() for path in (slurm_cluster.directory / "state").rglob("*") if path.is_file()]
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
    finally:
        del os.environ["HF_TOKEN"]
    assert "#SBATCH" in script
    assert not any(b"hf_secret-1234" in text for text in (said.encode(), script.encode(), *kept))


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("cancelled", "cancelled"),
        ("preempted", "preempted"),
        ("node failed", "node failed"),
        ("node not booted", "node failed"),
        ("queued again", "queued again"),
        ("special exit", "queued again"),
    ],
)
def test_each_thing_that_slurm_does_to_a_job_has_its_verdict(repository, slurm_cluster, how, cause):
    """The first attempt meets it, a second one passes."""
    body = (
        "import os, time; first = not os.path.exists('begun'); open('begun', 'w').close(); "
        "time.sleep(1000 if first else 0)"
    )
    write(repository, one=body)
    cluster = slurm_cluster
    try:
        with in_background(repository) as process:
            wait_until((repository.root / "begun").exists, "the test to begin")
            (job,) = mine(cluster, repository)
            node = cluster("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
            if how == "cancelled":
                cancel(cluster, job)
            elif how == "preempted":
                cluster(
                    "sbatch",
                    "--partition=urgent",
                    "--nodes=4",
                    "--exclusive",
                    "--output=/dev/null",
                    "--wrap=sleep 2",
                )
            elif how == "node failed":
                cluster.kill(node)
                cluster("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
            elif how == "node not booted":
                cluster.fail_to_boot(job)
            else:
                again = ("requeue",) if how == "queued again" else ("requeuehold", "state=SpecialExit")
                cluster("scontrol", "update", f"jobid={job}", "requeue=1")
                cluster("scontrol", *again, job)
            out, _ = process.communicate(timeout=120)
        assert_none_is_left(cluster, repository)
    finally:
        cluster.ready()
    first = next(event for event in events_of(repository) if event["kind"] == "ended")
    assert first["ending"]["cause"] == cause, (first, out)
    if how == "cancelled":
        assert process.returncode == 3
        assert "was cancelled by the user with id 0" in out
    else:
        assert process.returncode == 0, out
        assert events_of(repository)[-2]["verdict"]["outcome"] == "passed"


def copied(source: Path, target: Path) -> bool:
    """Whether it could be copied whole: what Slurm saves it writes beside the file, which it then removes."""
    shutil.rmtree(target, ignore_errors=True)
    try:
        shutil.copytree(source, target)
    except shutil.Error:
        return False
    return True


def saved_bytes(file: Path) -> bytes:
    """Empty in the moment in which Slurm puts another one in its place."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


@pytest.mark.parametrize("ends", ["by itself", "by its node"])
def test_a_job_whose_beginning_a_killed_controller_forgot_is_not_told_as_cancelled(repository, slurm_cluster, ends):
    """It takes a job for cancelled that ends while it waits; or begins it again, and its node has it ended."""
    cluster, state = slurm_cluster, slurm_cluster.directory / "state"
    go = repository.root / "go"
    body = BEGINS.format(name="a") + f"\n    while not os.path.exists({str(go)!r}): time.sleep(0.05)"
    write(repository, one=body)
    with drained(cluster) as resume, in_background(repository) as process:
        wait_until(lambda: mine(cluster, repository), "the job to be submitted")
        (job,) = mine(cluster, repository)
        token = cluster("squeue", "--noheader", f"--jobs={job}", "--format=%k").strip().encode()
        saved = state / "job_state"
        wait_until(lambda: token in saved_bytes(saved), "Slurm to save that it waits")
        wait_until(lambda: copied(state, repository.root / "state"), "a moment in which Slurm saves nothing")
        resume()
        wait_until((repository.root / "begun").exists, "the test to begin")
        wait_until(lambda: "started" in [event["kind"] for event in events_of(repository)], "that to be told")
        cluster.kill("slurmctld")
        shutil.copytree(repository.root / "state", state, dirs_exist_ok=True)
        if ends == "by itself":
            go.write_text("")
        cluster.start_controller()
        wait_until(lambda: cluster("sinfo", "--noheader", check=False), "the controller to answer")
        # Whether it has saved that they were drained, is its own affair.
        resume(check=False)
        wait_until(lambda: "ended" in [event["kind"] for event in events_of(repository)], "its end")
        go.write_text("")
        out, _ = process.communicate(timeout=120)
    first = next(event for event in events_of(repository) if event["kind"] == "ended")["ending"]
    assert process.returncode == 0, (first, out)
    # Or it forgets the job altogether.
    assert first["cause"] in ("exited", "lost"), first


def run_id(repository):
    (directory,) = (repository.root / ".trainci/runs").iterdir()
    return directory.name


def attach(repository):
    return repository.trainci("run", "--attach", run_id(repository), environment=environment())


BEGINS = "import os, time; open('begun', 'a').write({name!r} + '\\n')"
WAITS = "\n    while not os.path.exists('go'): time.sleep(0.05)\n    print('went on')"


def test_a_run_whose_client_was_killed_is_gone_on_with_and_nothing_is_run_twice(repository):
    """One has ended, one runs, one was not submitted: what was begun goes on while nobody looks."""
    settings = "[executors.slurm]\nin_flight = 1\n"
    a, b, c = (BEGINS.format(name=name) for name in "abc")
    write(repository, settings, a=a, b=b + WAITS, c=c)
    begun = repository.root / "begun"
    with in_background(repository) as process:
        wait_until(lambda: begun.exists() and begun.read_text() == "a\nb\n", "the second test to begin")
        refused = attach(repository)
        process.kill()
        process.wait()
    assert (refused.code, "its runner lives" in refused.err) == (2, True)
    (repository.root / "go").write_text("")
    said = attach(repository)
    assert said.code == 0, said.out + said.err
    assert begun.read_text() == "a\nb\nc\n"
    assert "tests/test_b.py | went on" in said.out
    told = [event["kind"] for event in events_of(repository) if event.get("test_id") == "tests/test_b.py"]
    told = [kind for kind in told if kind != "waiting"]
    assert told == ["queued", "granted", "started", "ended", "verdict"]
    assert len(set(history_of(repository))) == len(history_of(repository)) == 3
    assert [path.name for path in repository.root.glob(".trainci/runs/*/*.job")] == []
    again = attach(repository)
    assert (again.code, "has ended with exit code 0" in again.err) == (2, True)


def history_of(repository):
    with contextlib.closing(sqlite3.connect(repository.root / ".trainci/history.db")) as db:
        return db.execute("SELECT test_id FROM attempts WHERE cause = 'exited' AND started < ended").fetchall()


def test_a_client_that_is_killed_while_it_submits_submits_nothing_twice(repository, slurm_cluster, tmp_path):
    """Slurm has the job, and its number never reached anybody: it is known by its token."""
    wrapper = tmp_path / "bin/sbatch"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@" >/dev/null\nkill -9 $PPID\n')
    wrapper.chmod(0o755)
    write(repository, a=BEGINS.format(name="a"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        with in_background(repository) as process:
            assert process.wait(timeout=60) == -signal.SIGKILL
    submitted = slurm_cluster("squeue", "--noheader", "--states=all", "--format=%i").split()
    said = attach(repository)
    assert said.code == 0, said.out + said.err
    assert (repository.root / "begun").read_text() == "a\n"
    listed = slurm_cluster("squeue", "--noheader", "--states=all", "--format=%i").split()
    assert max(map(int, listed)) == max(map(int, submitted)), "no second job"


def test_a_client_that_is_killed_after_it_read_results_and_before_it_told_of_them_loses_none(repository):
    """Exactly there: the first that hears of the end, the log of the run, is killed before it writes."""
    repository.write("tests/test_items.py", "NUM_GPUS = 1\ndef test_one(): pass\ndef test_two(): pass\n")
    repository.write("trainci.toml", '[suites.short]\ntests = ["tests/test_items.py"]\n')
    words = ("run", "short", "--executor", "slurm", "--devices", "cpu:8")
    killed = subprocess.run([sys.executable, "-c", KILLED_THERE, *words], cwd=repository.root, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert "ended" not in [event["kind"] for event in events_of(repository)]
    said = attach(repository)
    assert said.code == 0, said.out + said.err
    (ended,) = (event for event in events_of(repository) if event["kind"] == "ended")
    assert [item["name"].rpartition("::")[2] for item in ended["results"]["items"]] == ["test_one", "test_two"]
    assert not list(repository.root.glob(".trainci/runs/*/*.xml"))


KILLED_THERE = """
import os, signal, sys
from trainci.__main__ import main
from trainci.history.event_log import EventLog
from trainci.model import events

write = EventLog.__call__
def killed(self, event):
    if isinstance(event, events.Ended):
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, event)

EventLog.__call__ = killed
sys.exit(main())
"""


def test_a_run_of_this_host_cannot_be_attached(repository):
    write(repository, a="print()")
    assert repository.trainci("run", "short", "--devices", "cpu:2", environment=environment()).code == 0
    said = attach(repository)
    assert said.code == 2 and "ended with their runner" in said.err
    for name in ("../..", "none"):
        said = repository.trainci("run", "--attach", name)
        assert said.code == 2 and "there is no such run" in said.err


def packed(repository, settings="", **bodies):
    write(repository, settings, **bodies)
    config = repository.root / "trainci.toml"
    config.write_text(config.read_text() + "pack = true\n")


def test_the_tests_of_a_packed_suite_share_one_allocation_each_with_its_own_events_log_and_verdict(
    repository, slurm_cluster
):
    tells = "import os; print('has', os.environ['TRAINCI_DEVICES'], 'in job', os.environ['SLURM_JOB_ID'])"
    bodies = {f"good{number}": tells for number in range(3)}
    packed(repository, bad="raise SystemExit(5)", **bodies)
    said = run(repository)
    assert said.code == 1, said.out + said.err
    assert "3 passed, 1 failed" in said.out
    logs = [path.read_text() for path in repository.root.glob(".trainci/runs/*/*good*.log")]
    assert len({text.split()[-1] for text in logs}) == 1, "one job of Slurm"
    assert all(len(text.split()[1].split(",")) == 2 for text in logs), logs
    for name in ("good0", "bad"):
        told = [e["kind"] for e in events_of(repository) if e.get("test_id") == f"tests/test_{name}.py"]
        assert [kind for kind in told if kind != "waiting"] == ["queued", "granted", "started", "ended", "verdict"]
    assert_none_is_left(slurm_cluster, repository)
    assert [path.name for path in repository.root.glob(".trainci/runs/*/*.job")] == []


def of_test(repository, name):
    return [event for event in events_of(repository) if event.get("test_id") == f"tests/test_{name}.py"]


FIRST_WAITS = (
    "import os, time; first = not os.path.exists('begun'); open('begun', 'a').write('a\\n'); "
    "time.sleep(1000 if first else 0)"
)


def test_a_lost_allocation_has_its_verdict_for_what_ran_and_what_had_not_begun_is_submitted_again(
    repository, slurm_cluster
):
    packed(repository, a=FIRST_WAITS, b=BEGINS.format(name="b"))
    large = repository.root / "tests/test_b.py"
    large.write_text(large.read_text().replace("NUM_GPUS = 2", "NUM_GPUS = 8"))
    with in_background(repository) as process:
        wait_until((repository.root / "begun").exists, "the first test to begin")
        (first,) = mine(slurm_cluster, repository)
        urgent = ("--partition=urgent", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        slurm_cluster("sbatch", *urgent)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert sorted((repository.root / "begun").read_text().split()) == ["a", "a", "b"]
    endings = [event["ending"] for event in of_test(repository, "a") if event["kind"] == "ended"]
    assert [ending["cause"] for ending in endings] == ["preempted", "exited"]
    assert f"job {first} of Slurm" in endings[0]["detail"]
    assert [event["kind"] for event in of_test(repository, "b") if event["kind"] == "queued"] == ["queued"]
    assert_none_is_left(slurm_cluster, repository)


def test_a_packed_run_whose_client_was_killed_is_gone_on_with_and_nothing_is_run_twice(repository, slurm_cluster):
    a, b, c = (BEGINS.format(name=name) for name in "abc")
    packed(repository, a=a, b=b + WAITS, c=c)
    begun = repository.root / "begun"
    with in_background(repository) as process:
        wait_until(lambda: begun.exists() and len(begun.read_text().split()) == 3, "all tests to begin")
        process.kill()
        process.wait()
    (repository.root / "go").write_text("")
    said = attach(repository)
    assert said.code == 0, said.out + said.err
    assert sorted(begun.read_text().split()) == ["a", "b", "c"]
    assert "tests/test_b.py | went on" in said.out
    told = [event["kind"] for event in of_test(repository, "b") if event["kind"] != "waiting"]
    assert told == ["queued", "granted", "started", "ended", "verdict"]
    assert_none_is_left(slurm_cluster, repository)


def test_an_interrupted_packed_run_leaves_no_job_behind(repository, slurm_cluster):
    packed(repository, one=BEGINS.format(name="one") + "; time.sleep(1000)", two="import time; time.sleep(1000)")
    with in_background(repository) as process:
        wait_until((repository.root / "begun").exists, "a test to begin")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert_none_is_left(slurm_cluster, repository)


def test_an_allocation_that_somebody_cancels_is_cancelled_for_all_of_its_tests(repository, slurm_cluster):
    packed(repository, a=FIRST_WAITS, b=BEGINS.format(name="b"))
    large = repository.root / "tests/test_b.py"
    large.write_text(large.read_text().replace("NUM_GPUS = 2", "NUM_GPUS = 8"))
    with in_background(repository) as process:
        wait_until((repository.root / "begun").exists, "the first test to begin")
        cancel(slurm_cluster, *mine(slurm_cluster, repository))
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 3, out
    assert (repository.root / "begun").read_text() == "a\n"
    causes = [event["ending"]["cause"] for event in events_of(repository) if event["kind"] == "ended"]
    assert causes == ["cancelled", "cancelled"]


def test_an_allocation_that_slurm_refuses_is_so_told_of_each_of_its_tests(repository):
    packed(repository, '[executors.slurm]\npartition = "none"\n[verdicts]\nretries = 0\n', a="print()", b="print()")
    said = run(repository)
    assert said.code == 3
    assert said.out.count("Slurm does not take its job: ") >= 2


OF_TWO_NODES = """NUM_GPUS = {gpus}
NUM_NODES = 2
if __name__ == "__main__":
    import os, time
    from trainci.testing import exec_command
    from trainci.testing.nodes import on_each_node
    begun = time.monotonic()
    print("in job", os.environ["SLURM_JOB_ID"])
    exec_command(on_each_node(["sh", "-c", "echo rank $TRAINCI_NODE_RANK on $SLURMD_NODENAME"]))
    print("from", begun, "to", time.monotonic())
"""


def test_tests_of_two_nodes_of_a_packed_suite_share_one_allocation_of_two_nodes_one_after_another(
    repository, slurm_cluster
):
    packed(repository, one="import os; print('in job', os.environ['SLURM_JOB_ID'])")
    for name, gpus in (("a", 2), ("b", 4), ("c", 2)):
        repository.write(f"tests/test_two_{name}.py", OF_TWO_NODES.format(gpus=gpus))
    said = run(repository)
    assert said.code == 0, said.out + said.err
    logs = [path.read_text() for path in repository.root.glob(".trainci/runs/*/*test_two_*.log")]
    (job,) = {re.search(r"in job (\d+)", text)[1] for text in logs}
    assert f"tests/test_one.py | in job {job}\n" not in said.out, "which needs one node, and has one"
    for text in logs:
        assert len(set(re.findall(r"^rank [01] on (n\d)$", text, re.MULTILINE))) == 2, text
    times = sorted(tuple(map(float, re.search(r"from (\S+) to (\S+)", text).groups())) for text in logs)
    assert all(end <= begun for (_, end), (begun, _) in itertools.pairwise(times)), times
    assert len(list(repository.root.glob(".trainci/runs/*/pack-short-*.log"))) == 2
    assert_none_is_left(slurm_cluster, repository)
