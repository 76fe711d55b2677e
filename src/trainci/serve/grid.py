"""Pure: which suite, or which test, was how at which commit, and how long it took to become green."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trainci.answers.values import PastResult
from trainci.history.store import PastRun
from trainci.model.run import Outcome

_FINE = (Outcome.PASSED.value, Outcome.FLAKY.value, Outcome.SKIPPED.value)
NO_SUITE = "in no suite"


@dataclass(frozen=True)
class Cell:
    """``tests`` of a row at a commit, ``red`` of them in the end.

    ``green_after`` is the seconds from the beginning of the first run of the commit that had one of them to the
    verdict that left none red; None while one is.
    """

    tests: int
    red: int
    green_after: float | None
    run_id: str


@dataclass(frozen=True)
class Grid:
    """``commits`` are the columns, the newest first; each row has a cell for each, None where nothing ran."""

    commits: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]


def by_suite(results: Sequence[PastResult], runs: Sequence[PastRun], suites: Mapping[str, Iterable[str]]) -> Grid:
    """A row a suite, in their order; a last one for what is in none. ``results`` are the newest first."""
    groups = {name: frozenset(tests) for name, tests in suites.items()}
    named = frozenset().union(*groups.values())
    groups[NO_SUITE] = frozenset(result.id for result in results if result.id not in named)
    return _grid(results, runs, groups)


def by_test(results: Sequence[PastResult], runs: Sequence[PastRun], tests: Iterable[str] | None) -> Grid:
    """A row a test of ``tests``, or of all that have a result (None)."""
    wanted = sorted({result.id for result in results}) if tests is None else list(dict.fromkeys(tests))
    return _grid(results, runs, {test_id: frozenset([test_id]) for test_id in wanted})


def _grid(results: Sequence[PastResult], runs: Sequence[PastRun], groups: Mapping[str, frozenset[str]]) -> Grid:
    began = {run.id: run.started_at for run in runs}
    commits = tuple(dict.fromkeys(run.commit for run in runs if run.commit))
    found: dict[str, dict[str, list[PastResult]]] = {}
    for result in results:
        if result.run in began:
            found.setdefault(result.id, {}).setdefault(result.commit, []).append(result)
    rows = []
    for name, tests in groups.items():
        at = [_cell([found.get(test, {}).get(commit, []) for test in tests], began) for commit in commits]
        if any(at):
            rows.append((name, tuple(at)))
    return Grid(commits, tuple(rows))


def _cell(of_tests: Iterable[Sequence[PastResult]], began: Mapping[str, float]) -> Cell | None:
    known = [results for results in of_tests if results]
    if not known:
        return None
    last = [results[0] for results in known]
    red = sum(result.outcome not in _FINE for result in last)
    start = min(began[result.run] for results in known for result in results)
    newest = max(last, key=lambda result: result.at)
    # Each test became green with the first of the passes after which it was never red.
    green_at = [_since_when(results) for results in known] if not red else []
    return Cell(len(known), red, max(green_at) - start if green_at else None, newest.run)


def _since_when(results: Sequence[PastResult]) -> float:
    at = results[0].at
    for result in results:
        if result.outcome not in _FINE:
            break
        at = result.at
    return at
