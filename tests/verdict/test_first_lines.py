"""The line that an engineer wants to read first, of logs as programs of many kinds end them, and its place."""

from __future__ import annotations

import json
from pathlib import Path

from trainci.log_files import diagnosed, packaged_rules
from trainci.model.diagnosis import Facts

ENDS = sorted((Path(__file__).parents[1] / "cases/first_lines").glob("*.log"))


def test_the_reason_is_the_line_that_tells_why() -> None:
    wrong = {}
    for log in ENDS:
        wanted = json.loads(log.with_suffix(".json").read_text())
        found = diagnosed(log, packaged_rules(), Facts(exit_code=wanted["exit_code"]), Path("/repo"))
        if (said := (found.evidence, str(found.frame or ""))) != (wanted["says"], wanted["at"]):
            wrong[log.stem] = f"{said} and not {wanted['says'], wanted['at']}"
    assert not wrong


def test_there_are_ends_of_every_kind() -> None:
    assert {log.stem.partition("_")[0] for log in ENDS} == {"noisy", "other", "pytest", "python", "shell"} and len(
        ENDS
    ) > 50
