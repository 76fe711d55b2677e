"""The headline of a run's page."""

from __future__ import annotations

from pathlib import Path

from trainci.model.run import Outcome, Result, Run, Verdict
from trainci.reports.page import page


def test_a_run_that_skipped_everything_is_not_called_fine(tmp_path: Path) -> None:
    for outcome, title in ((Outcome.SKIPPED, "Nothing ran"), (Outcome.PASSED, "Nothing is red")):
        run = Run("r", "c0ffee", 0.0, 1.0, (Result("a.py", Verdict(outcome, "so")),), "no GPU", 0, {})
        assert f"<h1>{title}</h1>" in page(run, (), tmp_path, {}).decode()


def test_nothing_that_a_terminal_would_obey_is_in_a_page(tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b\u202e<script>"
    run = Run("r", evil, 0.0, 1.0, (Result(evil, Verdict(Outcome.FAILED, evil)),), evil, 0, {evil: evil})
    text = page(run, (), tmp_path, {}).decode()
    assert not {"\x1b", "\x9b", "\u202e"} & set(text) and "<script" not in text
