"""What frameworks say at the end of their output. Pure.

pytest and unittest say it after the last test: a program that is green and never said it was ended in the middle.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from trainci.framework_ends.others import other_ends

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
# What stands before the summary of a pytest in which something failed, and at the begin of any that is not quiet.
_PYTEST_PART = re.compile(
    # Below -s it follows the name of the test within which it begins.
    r"(?<!=)(?P<begins>=+ test session starts =+)$|^=+ (?:FAILURES|ERRORS|short test summary info) =+$"
    r"|(?<![.FEsxX])(?=[.sxX]*[FE])[.FEsxX]+ +\[100%\]$",
    re.MULTILINE,
)
_UNITTEST_FAILED = re.compile(
    r"^Ran \d+ tests? in .*\n+(?P<end>FAILED) \((?P<counts>[a-z]+(?: [a-z]+)?=\d.*?)\)$", re.MULTILINE
)
_BAD = re.compile(r"(?:(\d+) (?:failed|errors?)|(?:failures|errors|unexpected successes)=(\d+))\b")
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
    return _unittest_said(ends[-1])


def _unittest_said(end: re.Match[str]) -> UnittestEnd:
    return UnittestEnd(int(end["ran"]), sum(map(int, _NOT_PASSED.findall(end["more"] or ""))))


@dataclass(frozen=True)
class SaidFailure:
    """A framework said, in ``line`` of the text (from 1), that tests failed: ``counts`` are its words."""

    by: str
    counts: str
    line: int


def said_failures(text: str, leave_out: Collection[str] = (), *, is_one: bool = False) -> tuple[SaidFailure, ...]:
    """Where frameworks other than those to ``leave_out`` say that tests failed, and no later end makes it good.

    That is one which ends later, without any, after as many tests have passed: it ran these again, or judged what
    was printed within one of its own tests. A line like a summary alone is none of pytest's. ``is_one``: the text
    is the output of pytest or unittest from its begin, which a quiet one does not say.
    """
    text = _plain(text)
    ends = sorted((*_pytest_ends(text), *_unittest_ends(text)), key=lambda end: end.place)
    left, best = [], 0
    for end in reversed(ends):
        if not end.bad:
            best = max(best, end.passed)
        elif end.by not in leave_out and best < end.bad:
            left.append(end)
    found: list[SaidFailure] = []
    place, line = 0, 1
    for bad in sorted((*left, *_left_of_others(text, ends, is_one)), key=lambda end: end.place):
        line += text.count("\n", place, bad.place)
        place = bad.place
        found.append(SaidFailure(bad.by, bad.counts, line))
    return tuple(found)


def _left_of_others(text: str, ends: Sequence[_End], is_one: bool) -> Iterator[_End]:
    """What other frameworks said, outside of the tests of the ``ends``, and did not make good by another run."""
    unknown = -1 if is_one else len(text)
    around = [(unknown if end.begin is None else end.begin, end.place) for end in ends]
    best: dict[tuple[str, str], int] = {}
    for end in sorted(other_ends(text), key=lambda end: end.place, reverse=True):
        of = (end.by, end.name)
        if not end.bad:
            best[of] = max(best.get(of, 0), end.passed)
        elif best.get(of, 0) < end.bad and not any(begin < end.place < over for begin, over in around):
            yield _End(end.by, end.said, end.place, end.bad, end.passed)


def ended(text: str, by: str) -> int:
    """How many runs of the framework ``by`` have come to their end in ``text``."""
    text = _plain(text)
    return sum(end.by == by for end in (*_pytest_ends(text), *_unittest_ends(text)))


@dataclass(frozen=True)
class _End:
    by: str
    counts: str
    place: int
    bad: int
    passed: int
    begin: int | None = None


def _pytest_ends(text: str) -> Iterator[_End]:
    """Those that are within no other one."""
    marks = sorted((*_PYTEST_PART.finditer(text), *_PYTEST_SUMMARY.finditer(text)), key=re.Match.start)
    within, has_parts = 0, False
    begin: int | None = None
    for mark in marks:
        if mark.re is _PYTEST_PART:
            within += bool(mark["begins"])
            begin = mark.start() if mark["begins"] and within == 1 else begin
            has_parts = has_parts or not mark["begins"]
            continue
        bad = _bad(mark["counts"])
        if within <= 1 and (has_parts or not bad):
            passed = re.search(r"(\d+) passed", mark["counts"])
            yield _End("pytest", mark["counts"], mark.start(), bad, int(passed[1]) if passed else 0, begin)
        within, has_parts = max(0, within - 1), False
        begin = begin if within else None


def _unittest_ends(text: str) -> Iterator[_End]:
    for mark in _UNITTEST_END.finditer(text):
        said = _unittest_said(mark)
        yield _End("unittest", "", mark.start(), 0, said.ran - said.not_passed)
    for mark in _UNITTEST_FAILED.finditer(text):
        yield _End("unittest", mark["counts"], mark.start("end"), _bad(mark["counts"]), 0)


def _bad(counts: str) -> int:
    return sum(int(one or other) for one, other in _BAD.findall(counts))


def _plain(text: str) -> str:
    return _COLOUR.sub("", text.replace("\r\n", "\n"))
