"""What failed in a job is found wherever in its log it stands, and by whatever its processes wrote down of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainci.executors import ends
from trainci.executors.base import Job
from trainci.model.run import Cause, Ending, Failure
from trainci.model.tests import Test
from trainci.paths import RunPaths


def collect(job: Job, begun: float = 0.0) -> tuple[Failure, ...]:
    return ends.collect(job, Ending(Cause.EXITED, 0), job.log.parent, begun)


SAID = "Ran 3 tests in 0.001s\n\nFAILED (failures=1)\n"


@pytest.mark.parametrize("offset", [0, 23, 24, 26, 28, 29, 60])
def test_a_failure_is_heard_of_wherever_the_log_is_cut_to_be_looked_at(tmp_path: Path, offset: int) -> None:
    job = Job(Test("t.py"), 1, tmp_path / "001-t.log")
    line = "some line of a test that says a lot\n"
    before = line * ((1 << 20) // len(line) - 3)
    before += "x" * ((1 << 20) - len(before) - 1 - offset) + "\n"
    job.log.write_text(before + SAID + line * 100)
    (failure,) = collect(job)
    assert "unittest" in failure.sentence


def test_a_file_whose_name_is_no_text_is_found_in_the_log(tmp_path: Path) -> None:
    job = Job(Test("t.py"), 1, tmp_path / "001-t.log")
    file = tmp_path / os.fsdecode(b"\xff.py")
    file.write_text("assert 0\n")
    environment = {**os.environ, **ends.variables(job, "")}
    with job.log.open("wb") as log:
        subprocess.run([sys.executable, str(file)], env=environment, stderr=log)
    (failure,) = collect(job)
    assert failure.sentence.startswith("a process ended by AssertionError at ")


def test_a_line_that_names_what_no_file_can_be_called_ends_nothing(tmp_path: Path) -> None:
    job = Job(Test("t.py"), 1, tmp_path / "001-t.log")
    job.log.write_text("hello\n")
    said = {"by": "raised", "how": "process", "assertion": True, "frames": [["\ud800.py", 1]]}
    RunPaths.ends(job.log).write_text(json.dumps(said))
    assert collect(job) == ()


PYTEST = (
    "=== test session starts ===\n=== FAILURES ===\n=== short test summary info ===\nFAILED a.py::test_a\n"
    "=== 1 failed, 1 passed in 0.08s ===\n"
)


@pytest.mark.parametrize("said", [PYTEST, SAID])
def test_what_a_file_said_before_the_test_began_is_only_shown(tmp_path: Path, said: str) -> None:
    """A script that prints an old log is sound, and one that prints what it has just made is not."""
    job = Job(Test("t.sh", "t.sh", ("bash", "t.sh")), 1, tmp_path / "001-t.log")
    (tmp_path / "t.sh").write_text("cat old.log other.log\n")
    job.log.write_text(f"begin\n{said}end\n")
    (tmp_path / "old.log").write_text(said)
    assert len(collect(job, begun=time.time() - 3600)) == 1, "it is of this run"
    assert collect(job, begun=time.time() + 1) == ()
    (tmp_path / "t.sh").write_text("cat elsewhere.log\n")
    assert len(collect(job, begun=time.time() + 1)) == 1, "nobody names it"
    (tmp_path / "t.sh").write_text("cat old.log\n")
    (tmp_path / "old.log").write_text(said.replace("1 failed", "2 failed").replace("=1", "=2"))
    assert len(collect(job, begun=time.time() + 1)) == 1, "it says something else"
