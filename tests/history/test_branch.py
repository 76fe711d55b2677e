"""What became of tests on a branch."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from trainci.history import open_store
from trainci.history.branch import last_outcomes
from trainci.model.run import Outcome, Verdict
from trainci.paths import StatePaths


def test_the_last_run_of_a_commit_of_the_branch_that_says_something_of_it_counts(tmp_path: Path) -> None:
    state = StatePaths(tmp_path)
    told = [
        ("a.py", "old", Outcome.PASSED),
        ("a.py", "new", Outcome.FAILED),
        ("a.py", "new", Outcome.MACHINE),
        ("a.py", "new", Outcome.INTERRUPTED),
        ("a.py", "elsewhere", Outcome.PASSED),
        ("b.py", "elsewhere", Outcome.FAILED),
        ("c.py", "new", Outcome.SKIPPED),
        ("d.py", "old", Outcome.FAILED),
        ("d.py", "old", Outcome.FLAKY),
    ]
    with closing(open_store(state)) as store:
        for at, (test_id, commit, outcome) in enumerate(told):
            store.begin_run(f"r{at}", commit, "", float(at))
            store.keep_verdict(f"r{at}", test_id, Verdict(outcome, ""), float(at))
        found = last_outcomes(store, ["new", "old"], ["a.py", "b.py", "c.py", "d.py", "none.py"])
    assert found == {"a.py": "failed", "d.py": "flaky"}
