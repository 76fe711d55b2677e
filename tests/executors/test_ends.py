"""What failed in a job is found wherever in its log it stands, and by whatever its processes wrote down of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainci.executors import ends
from trainci.executors.base import Job
from trainci.model.run import Cause, Ending
from trainci.model.tests import Test
from trainci.paths import RunPaths

SAID = "Ran 3 tests in 0.001s\n\nFAILED (failures=1)\n"


@pytest.mark.parametrize("offset", [0, 23, 24, 26, 28, 29, 60])
def test_a_failure_is_heard_of_wherever_the_log_is_cut_to_be_looked_at(tmp_path: Path, offset: int) -> None:
    job = Job(Test("t.py"), 1, tmp_path / "001-t.log")
    line = "some line of a test that says a lot\n"
    before = line * ((1 << 20) // len(line) - 3)
    before += "x" * ((1 << 20) - len(before) - 1 - offset) + "\n"
    job.log.write_text(before + SAID + line * 100)
    (failure,) = ends.collect(job, Ending(Cause.EXITED, 0))
    assert "unittest" in failure.sentence


def test_a_file_whose_name_is_no_text_is_found_in_the_log(tmp_path: Path) -> None:
    job = Job(Test("t.py"), 1, tmp_path / "001-t.log")
    file = tmp_path / os.fsdecode(b"\xff.py")
    file.write_text("assert 0\n")
    environment = {**os.environ, **ends.variables(job, "")}
    with job.log.open("wb") as log:
        subprocess.run([sys.executable, str(file)], env=environment, stderr=log)
    (failure,) = ends.collect(job, Ending(Cause.EXITED, 0))
    assert failure.sentence.startswith("a process ended by AssertionError at ")


def test_a_line_that_names_what_no_file_can_be_called_ends_nothing(tmp_path: Path) -> None:
    job = Job(Test("t.py"), 1, tmp_path / "001-t.log")
    job.log.write_text("hello\n")
    said = {"by": "raised", "how": "process", "assertion": True, "frames": [["\ud800.py", 1]]}
    RunPaths.ends(job.log).write_text(json.dumps(said))
    assert ends.collect(job, Ending(Cause.EXITED, 0)) == ()
