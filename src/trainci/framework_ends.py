"""What pytest and unittest say at the end of their output. Pure.

Both say it after the last test, so a program that is green and never said it was ended in the middle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# "=== 2 passed, 1 skipped in 0.12s ===", "no tests ran in 0.01s" with -q (_pytest/terminal.py, summary_stats).
_PYTEST_SUMMARY = re.compile(
    r"^=*[ ]?(?P<counts>no tests ran|(?:\d+ [a-z]+(?: [a-z]+)?(?:, )?)+) in \d+(?:\.\d+)?s\b.*$", re.MULTILINE
)
# "!!!! _pytest.outcomes.Exit: no device !!!!", below the summary where it was given an exit code.
_PYTEST_EXIT = re.compile(r"^!{3,} .{0,80}?\bExit: (?P<why>.{0,400}?) !{3,}$", re.MULTILINE)
# unittest: "Ran 2 tests in 0.001s", a blank line, "OK (skipped=1, expected failures=1)" (Lib/unittest/runner.py).
_UNITTEST_END = re.compile(
    r"^Ran (?P<ran>\d+) tests? in .*\n+(?:OK|NO TESTS RAN)(?: \((?P<more>.*?)\))?$", re.MULTILINE
)
_NOT_PASSED = re.compile(r"(?:skipped|expected failures)=(\d+)")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


@dataclass(frozen=True)
class PytestEnd:
    """``summary``: its last line was there. ``fault`` is why an exit code of 0 says nothing; empty for nothing."""

    summary: bool = False
    fault: str = ""


def pytest_end(text: str) -> PytestEnd:
    """What the last pytest in ``text``, the end of a test's output, says of itself."""
    text = _plain(text)
    summaries = list(_PYTEST_SUMMARY.finditer(text))
    after = text[summaries[-1].end() :] if summaries else text
    if stopped := _PYTEST_EXIT.search(after):
        return PytestEnd(bool(summaries), f"pytest.exit stopped it in the middle ({stopped['why']})")
    if summaries and summaries[-1]["counts"] == "no tests ran":
        return PytestEnd(True, "pytest says that no tests ran")
    return PytestEnd(bool(summaries))


@dataclass(frozen=True)
class UnittestEnd:
    """How many tests unittest ran, and how many of these were skipped or failed as they were expected to."""

    ran: int
    not_passed: int


def unittest_end(text: str) -> UnittestEnd | None:
    """What the last unittest in ``text`` says of a run that it calls good; None where it says nothing."""
    ends = list(_UNITTEST_END.finditer(_plain(text)))
    if not ends:
        return None
    return UnittestEnd(int(ends[-1]["ran"]), sum(map(int, _NOT_PASSED.findall(ends[-1]["more"] or ""))))


def _plain(text: str) -> str:
    return _COLOUR.sub("", text.replace("\r\n", "\n"))
