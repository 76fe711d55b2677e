"""Tests that are known to be bad fail no run, as long as their entry says."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.findings import of_quarantine
from trainci.model.project import Project, Quarantined
from trainci.model.run import Outcome, Result, Verdict
from trainci.verdict.decide import exit_code
from trainci.verdict.quarantine import entry, excused, excuses

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KNOWN = Quarantined("tests/a.py", "ana", "waits for a driver", "2026-12-31", "#12", "trainci.toml:9")


def test_an_entry_covers_an_id_or_a_file_with_all_its_variants_until_its_last_day_is_over() -> None:
    ids = ["tests/a.py", "tests/a.py[--x]", "tests/ab.py"]
    assert list(excuses([KNOWN], ids, "2026-12-31")) == ids[:2]
    assert excuses([KNOWN], ids, "2027-01-01") == {}
    sentence = "in quarantine until 2026-12-31 (ana, #12): waits for a driver"
    assert excuses([KNOWN], ids, "2026-12-01")["tests/a.py"] == sentence


@pytest.mark.parametrize("outcome", Outcome)
def test_what_is_red_by_itself_is_excused_and_nothing_else(outcome: Outcome) -> None:
    verdict = excused(Verdict(outcome, "so"), "in quarantine")
    green = outcome in (Outcome.PASSED, Outcome.SKIPPED)
    assert bool(verdict.excused) is (not green and outcome not in (Outcome.REFUSED, Outcome.INTERRUPTED))
    if verdict.excused:
        assert exit_code([Result("t", verdict)]) == 0
    assert excused(Verdict(outcome, "so"), "").excused == ""


def test_an_entry_that_is_over_and_one_about_no_test_are_findings() -> None:
    project = Project(test_globs=(), base="main", max_gpus=8, quarantine=(KNOWN,))
    assert of_quarantine(project, ["tests/a.py[--x]"], "2026-12-31") == []
    (over,) = of_quarantine(project, ["tests/a.py"], "2027-01-01")
    assert (over.code, over.file, over.line) == ("quarantine-over", "trainci.toml", 9) and "ana" in over.sentence
    (unknown,) = of_quarantine(project, ["tests/b.py"], "2026-12-31")
    assert unknown.code == "quarantine-unknown" and "tests/a.py" in unknown.sentence


@given(st.text(), st.text())
def test_the_lines_to_paste_are_toml_whatever_a_test_is_called_or_says(test_id: str, sentence: str) -> None:
    lines = entry(test_id, Verdict(Outcome.FAILED, sentence), "2026-12-31")
    (said,) = tomllib.loads(lines)["quarantine"]
    assert said.keys() == {"test", "owner", "reason", "ticket", "until"}
    assert said["until"].isoformat() == "2026-12-31"
