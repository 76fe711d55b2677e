"""The line that an engineer wants to read first, of logs as programs of many kinds end them, and its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainci.log_files import diagnosed, packaged_rules
from trainci.model.diagnosis import Facts

ENDS = sorted((Path(__file__).parents[1] / "cases/first_lines").glob("*.log"))


@pytest.mark.parametrize("log", ENDS, ids=lambda log: log.stem)
def test_the_reason_is_the_line_that_tells_why(log: Path) -> None:
    wanted = json.loads(log.with_suffix(".json").read_text())
    found = diagnosed(log, packaged_rules(), Facts(exit_code=wanted["exit_code"]), Path("/repo"))
    assert (found.evidence, str(found.frame or "")) == (wanted["says"], wanted["at"])


def test_there_are_ends_of_every_kind() -> None:
    assert {log.stem.partition("_")[0] for log in ENDS} == {"noisy", "other", "pytest", "python", "shell"} and len(
        ENDS
    ) > 50
