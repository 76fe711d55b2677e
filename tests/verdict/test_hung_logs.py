"""What is printed while a test that hung is ended tells of that, and of nothing else."""

from __future__ import annotations

from pathlib import Path

from trainci.log_files import diagnosed, packaged_rules
from trainci.model.diagnosis import Blame, Facts
from trainci.model.run import Outcome
from trainci.verdict.diagnose import outcome_of

HUNG = "trainci: hung: rank 1 of 2 never reached all_reduce #3; it is in `load_batch` (data.py:41); rank 0 waits\n"
AFTER = "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device\n"
FAILED = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nAssertionError: no\n'


def judged(tmp_path: Path, text: str, hung: bool | None) -> tuple[str, Blame, Outcome]:
    (tmp_path / "log").write_text(text)
    facts = Facts(exit_code=1, hung=hung)
    found = diagnosed(tmp_path / "log", packaged_rules(), facts, tmp_path)
    return found.rule, found.blame, outcome_of(found, facts)


def test_what_follows_the_line_that_says_so_is_not_judged(tmp_path: Path) -> None:
    for hung in (True, None):
        assert judged(tmp_path, f"step 1\n{HUNG}{AFTER}", hung) == ("hung", Blame.UNSURE, Outcome.HUNG)


def test_what_was_printed_before_is_a_cause_still(tmp_path: Path) -> None:
    rule, blame, outcome = judged(tmp_path, f"{FAILED}{HUNG}", True)
    assert (blame, outcome) == (Blame.CODE, Outcome.HUNG)
    assert rule != "hung"


def test_a_test_that_prints_such_a_line_itself_hides_nothing(tmp_path: Path) -> None:
    rule, blame, _ = judged(tmp_path, f"{HUNG}{FAILED}", False)
    assert (blame, rule != "hung") == (Blame.CODE, True)
