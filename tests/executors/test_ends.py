"""What a log says of failures is found wherever in it it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainci.executors import ends
from trainci.executors.base import Job
from trainci.model.run import Cause, Ending
from trainci.model.tests import Test

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
