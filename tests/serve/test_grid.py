"""Suites and tests by commits."""

from __future__ import annotations

from trainci.answers.values import PastResult
from trainci.history.store import PastRun
from trainci.serve.grid import NO_SUITE, Cell, by_suite, by_test

SUITES = {"short": ("a.py", "b.py"), "long": ("c.py",)}


def run(run_id: str, commit: str, at: float) -> PastRun:
    return PastRun(run_id, commit, "", "", at, at + 9, 0, False, {})


def result(test_id: str, run_id: str, commit: str, at: float, outcome: str = "passed") -> PastResult:
    return PastResult(test_id, run_id, commit, "", at, outcome, "", 1, (), 1.0)


RUNS = [run("r3", "new", 300.0), run("r2", "old", 200.0), run("r1", "old", 100.0)]
# The newest first, as a store gives them.
RESULTS = [
    result("a.py", "r3", "new", 305.0, "failed"),
    result("b.py", "r2", "old", 230.0, "flaky"),
    result("a.py", "r2", "old", 220.0),
    result("d.py", "r1", "old", 130.0, "hung"),
    result("a.py", "r1", "old", 120.0),
    result("b.py", "r1", "old", 110.0, "failed"),
]


def test_a_suite_is_green_at_a_commit_once_its_last_red_test_passed() -> None:
    grid = by_suite(RESULTS, RUNS, SUITES)
    assert grid.commits == ("new", "old")
    assert grid.rows == (
        ("short", (Cell(1, 1, None, "r3"), Cell(2, 0, 130.0, "r2"))),
        (NO_SUITE, (None, Cell(1, 1, None, "r1"))),
    )


def test_a_test_that_was_always_green_is_green_since_its_first_run() -> None:
    grid = by_test(RESULTS, RUNS, SUITES["short"])
    assert dict(grid.rows)["a.py"] == (Cell(1, 1, None, "r3"), Cell(1, 0, 20.0, "r2"))
    assert dict(grid.rows)["b.py"] == (None, Cell(1, 0, 130.0, "r2"))


def test_of_runs_without_a_commit_there_is_no_column() -> None:
    grid = by_test([result("a.py", "r", "", 5.0)], [run("r", "", 0.0)], None)
    assert grid.commits == () and grid.rows == ()
