"""What torchrun kept apart of ranks is told in the log of their attempt: bounded, and through no link."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainci.executors import rank_logs
from trainci.executors.base import Job
from trainci.model.tests import Test
from trainci.paths import RunPaths

HEADER = "Traceback (most recent call last):"
RAISED = f'{HEADER}\n  File "train.py", line 3, in <module>\n'


# What torch's own launcher leaves of a rank whose output is lost.
PROGRAM = """
import os, time
from torch.distributed.elastic.multiprocessing.errors import record
os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
@record
def main():
    if os.environ["RANK"] == "1":
        raise ValueError("bad mask")
    time.sleep(60)
main()
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job(Test("t.py"), 1, tmp_path / "001-t.log")
    job.log.write_text("exitcode  : 1 (pid: 4711)\n")
    return job


def wrote(job: Job, rank: int, text: str, at: float, where: str = "none_a/attempt_0") -> Path:
    path = RunPaths.ranks(job.log) / where / str(rank) / "stderr.log"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def test_the_traceback_of_each_rank_is_told_the_first_that_ended_first(job: Job) -> None:
    wrote(job, 0, f"step 1\n{RAISED}RuntimeError: Connection closed by peer\n", 20.0)
    wrote(job, 1, f"step 1\n{RAISED}ValueError: no\n", 10.0)
    wrote(job, 2, "step 1\nstep 2\n", 5.0)
    lines = rank_logs.tracebacks(job).splitlines()
    assert lines[:3] == [f"[default1]:{line}" for line in f"{RAISED}ValueError: no".splitlines()]
    assert lines[3:] == [f"[default0]:{x}" for x in f"{RAISED}RuntimeError: Connection closed by peer".splitlines()]


def test_of_a_rank_that_printed_nothing_what_torch_recorded_is_told(job: Job) -> None:
    wrote(job, 0, f"{RAISED}RuntimeError: Connection closed by peer\n", 20.0)
    recorded = wrote(job, 1, "step 1\n", 30.0).with_name("error.json")
    stack = {"py_callstack": f"{RAISED}ValueError: bad mask\n", "timestamp": "1795692561"}
    recorded.write_text(json.dumps({"message": {"message": "ValueError: bad mask", "extraInfo": stack}}))
    os.utime(recorded, (10, 10))
    lines = rank_logs.tracebacks(job).splitlines()
    assert lines[:3] == [f"[default1]:{line}" for line in f"{RAISED}ValueError: bad mask".splitlines()]
    assert lines[-1] == "[default0]:RuntimeError: Connection closed by peer"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "[1]",
        '{"message": "x"}',
        '{"message": {"extraInfo": {"py_callstack": 3}}}',
        "[" * 60000,
        f'{{"message": {{"extraInfo": {{"py_callstack": "{HEADER}\\nE: {"x" * (1 << 17)}"}}}}}}',
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_record_of_torchs_says_nothing(job: Job, text: str) -> None:
    wrote(job, 1, "step 1\n", 30.0).with_name("error.json").write_text(text)
    assert rank_logs.tracebacks(job) == ""


def test_what_the_log_has_already_is_not_told_again(job: Job) -> None:
    wrote(job, 1, f"{RAISED}ValueError: no\n", 10.0)
    job.log.write_text(f"[default1]:{HEADER}\n[default1]:ValueError: no\nexitcode  : 1 (pid: 4711)\n")
    assert rank_logs.tracebacks(job) == ""


def test_the_newest_attempt_counts(job: Job) -> None:
    wrote(job, 0, f"{RAISED}ValueError: first\n", 10.0)
    wrote(job, 0, f"{RAISED}ValueError: second\n", 9.0, "none_a/attempt_10")
    wrote(job, 0, f"{RAISED}ValueError: between\n", 9.0, "none_a/attempt_9")
    assert "ValueError: second" in (said := rank_logs.tracebacks(job)) and said.count("ValueError") == 1


def test_no_link_is_followed_and_nothing_is_read_without_end(job: Job, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    (secret / "0").mkdir(parents=True)
    (secret / "0/stderr.log").write_text(f"{RAISED}ValueError: secret\n")
    ranks = RunPaths.ranks(job.log) / "none_a/attempt_0"
    for rank in (0, 1, 2):
        (ranks / str(rank)).mkdir(parents=True)
    (ranks / "0/stderr.log").symlink_to(secret / "0/stderr.log")
    os.mkfifo(ranks / "1/stderr.log")
    (ranks / "3").symlink_to(secret / "0")
    (ranks.parent / "attempt_1").symlink_to(secret)
    (ranks / "2/stderr.log").write_text(f"{RAISED}ValueError: too far from its end\n" + "x" * (1 << 17))
    assert rank_logs.tracebacks(job) == ""
    (ranks.parent / "attempt_1").unlink()
    assert rank_logs.tracebacks(job) == ""


def test_where_there_is_nothing_nothing_is_told(job: Job) -> None:
    assert rank_logs.tracebacks(job) == ""
    job.log.unlink()
    RunPaths.ranks(job.log).write_text("no folder")
    assert rank_logs.tracebacks(job) == ""


def test_a_folder_that_somebody_named_stays_theirs(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rank_logs.variables(job) == {"PET_LOG_DIR": str(RunPaths.ranks(job.log))}
    monkeypatch.setenv("PET_LOG_DIR", "/logs")
    assert rank_logs.variables(job) == {"PET_LOG_DIR": "/logs"}


def test_no_secret_stays_in_what_ranks_printed_past_us(job: Job, tmp_path: Path) -> None:
    kept = wrote(job, 0, "x" * ((1 << 20) - 5) + "hf_secret-1 and on\n", 10.0)
    other = tmp_path / "elsewhere"
    other.write_text("hf_secret-1")
    (kept.parent / "link").symlink_to(other)
    os.mkfifo(kept.parent / "pipe")
    rank_logs.keep(job, ["hf_secret-1"])
    assert not RunPaths.ranks(job.log).exists(), "what bears that name is not masked, and no workflow uploads it"
    kept = RunPaths.kept_ranks(job.log) / kept.relative_to(RunPaths.ranks(job.log))
    assert kept.read_text() == "x" * ((1 << 20) - 5) + "*** and on\n"
    assert other.read_text() == "hf_secret-1"
    assert sorted(path.name for path in kept.parent.iterdir()) == ["link", "pipe", "stderr.log"]


@pytest.mark.slow
def test_torchruns_own_record_of_a_rank_is_read(job: Job, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(tmp_path / "train.py")]
    environment = {**os.environ, **rank_logs.variables(job), "MASTER_PORT": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
    assert done.returncode == 1 and rank_logs.tracebacks(job).splitlines()[-1] == "[default1]:ValueError: bad mask"
