"""What a test says of its items outweighs an exit code of 0: nothing is green that did not run."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.items import counts
from trainci.model.run import Attempt, Cause, Outcome, Results, Verdict
from trainci.text import counted
from trainci.verdict.ruling import Ruling

# https://docs.pytest.org/en/stable/reference/exit-codes.html
_NOTHING_COLLECTED = 5


def rule(attempts: Sequence[Attempt]) -> Ruling | None:
    """See Rule; silent on a test that leaves no results, and where a failed one has nothing to add."""
    last = attempts[-1]
    results = last.results
    if results is None or last.ending.cause is not Cause.EXITED:
        return None
    if last.test.leaves_results and last.ending.exit_code == _NOTHING_COLLECTED and not results.items:
        return _failed("nothing ran: pytest collected no test")
    if last.ending.exit_code == _NOTHING_COLLECTED and set(counts(results.items)) == {"skipped"}:
        # Whole modules were skipped, which pytest does not count as tests that it collected.
        return _green(results)
    return _green(results) if last.ending.passed else None


def _green(results: Results) -> Ruling | None:
    """What speaks against an exit code of 0."""
    found = counts(results.items)
    wrong = found.get("failed", 0) + found.get("error", 0)
    if results.fault:
        return _failed(f"it exited with 0, but {results.fault}, so nothing shows that a test ran")
    if not results.items:
        return _failed("nothing ran: it exited with 0, and no test ran")
    if wrong:
        return _failed(f"it exited with 0, though {counted(wrong, 'item')} failed")
    if not found.get("passed"):
        return Ruling(Verdict(Outcome.SKIPPED, f"nothing ran: {counted(len(results.items), 'item')} skipped"))
    return None


def _failed(sentence: str) -> Ruling:
    return Ruling(Verdict(Outcome.FAILED, sentence))
