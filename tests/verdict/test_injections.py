"""Faults that are injected into real processes here and now are called what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from verdict.injections import INJECTIONS, can_run, inject

from trainci.log_files import packaged_rules, read_log
from trainci.verdict.diagnose import diagnose, outcome_of
from trainci.verdict.facts_file import facts_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", INJECTIONS)
def test_injected(name: str, tmp_path: Path) -> None:
    injection = INJECTIONS[name]
    if not can_run(injection):
        pytest.skip("needs root, mounts and the memory controller")
    printed, said = inject(injection, tmp_path)
    log, facts = tmp_path / "log", facts_of(said)
    log.write_bytes(printed)
    diagnosis = diagnose(read_log(log, packaged_rules()), facts)
    outcome = outcome_of(diagnosis, facts).value
    assert (outcome, diagnosis.blame.value) == (injection.expected["outcome"], injection.expected["blame"]), (
        diagnosis
    )
