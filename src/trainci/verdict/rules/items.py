"""What a test says of its items outweighs an exit code of 0: nothing is green that did not run."""

from __future__ import annotations

from trainci.items import counts
from trainci.model.run import Attempt, Cause, Outcome, Results, Verdict
from trainci.text import counted

# https://docs.pytest.org/en/stable/reference/exit-codes.html
_NOTHING_COLLECTED = 5


def rule(attempt: Attempt) -> Verdict | None:
    """See Rule; silent on a test that leaves no results, and where a failed one has nothing to add."""
    results = attempt.results
    if results is None or attempt.ending.cause is not Cause.EXITED:
        return None
    if attempt.test.leaves_results and attempt.ending.exit_code == _NOTHING_COLLECTED and not results.items:
        return _failed("nothing ran: pytest collected no test")
    if attempt.ending.exit_code == _NOTHING_COLLECTED and set(counts(results.items)) == {"skipped"}:
        # Whole modules were skipped, which pytest does not count as tests that it collected.
        return _green(results, expected=False)
    return _green(results, expected=attempt.test.expects.failure) if attempt.ending.passed else None


def _green(results: Results, *, expected: bool) -> Verdict | None:
    """What speaks against an exit code of 0; ``expected``: the program says itself that tests are to fail."""
    found = counts(results.items)
    wrong = found.get("failed", 0) + found.get("error", 0)
    if results.fault:
        return _failed(f"it exited with 0, but {results.fault}, so nothing shows that a test ran")
    if not results.items:
        return _failed("nothing ran: it exited with 0, and no test ran")
    if wrong and not expected:
        return _failed(f"it exited with 0, though {counted(wrong, 'item')} failed")
    if not found.get("passed") and not wrong:
        return Verdict(Outcome.SKIPPED, f"nothing ran: {counted(len(results.items), 'item')} skipped")
    return None


def _failed(sentence: str) -> Verdict:
    return Verdict(Outcome.FAILED, sentence)
