"""Pure: lines outside of every exception that fit a rule, and in the output of which test they stand.

What a test prints says nothing of why it failed, other than its framework's own words for that. Formats: googletest
1.14, Go 1.22 with and without -v, libtest of Rust 1.80. (pytest's is a room of its own.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trainci.model.diagnosis import LogRule
from trainci.verdict.last_words import Tail
from trainci.verdict.prefixes import Line

# Go says without -v in the first line of a test's output that it failed, and with -v in the last.
_BEGINS = re.compile(
    r"\[ RUN {6}\] |\[-{10}\] Global test environment set-up"
    r"|=== (?:RUN|CONT|NAME) |---- \S+ stdout ----$|\s*--- FAIL: "
)
_PASSED = re.compile(r"\s*--- (?:PASS|SKIP): ")
_ENDS = re.compile(r"\[ {2}FAILED {2}\] |\[-{10}\]|(?:failures|successes):$|test result: |(?:FAIL|ok)\b")
_SAID_BY_GO = re.compile(r"\s+\w+_test\.go:\d+:(?: |$)")
_TELLS = re.compile(r"\S.*: Failure$|thread '.+' (?:\(\d+\) )?panicked at ")
MARKS = (
    *(
        "[ run ",
        "environment set-up",
        "=== run",
        "=== cont",
        "=== name",
        "stdout ----",
        "--- fail",
        "--- pass",
        "--- skip",
        "[  failed",
    ),
    *("_test.go:", ": failure", "panicked at ", "failures:", "successes:", "test result: "),
)
"""Texts in lower case of which a line that tells something of a test holds one."""

COMPARED = "test-compared"
"""The rule of a test that says what it wanted and did not get."""
PAGE = "page-instead"
"""The rule of a page that a server sent; of which server, it does not say."""
# How a library's call says that it went well: that a test wanted this tells no more than that the call failed.
_WENT_WELL = re.compile(r"(?i)\b\w*success\b|\bok\(\)|\bis_ok\b|\bOkStatus\b|\$\{?status\b.*\s(?:-eq|==?) 0\b")
_GOT = re.compile(r"(?i)\W{0,14}(?:actual|received|got|but was)\b")
_WANTED = re.compile(r"(?i)\W{0,14}(?:expected|want(?:ed)?)\b(?!.*\b(?:sha\d*|hash|digest|checksum|md5)\b)")
# What gtest shows of the values that it compared.
_SHOWN = re.compile(r"\s+(?:Which is|Expected): ")
_FAILED = re.compile(r"(?i)\bnot ok\b|\bfail(?:ed|ures?|ing)?\b|\bassert|[●✗✕×]")
# An example of doctest gave something else than it shows, or raised what nobody expected.
_DOCTEST = "Failed example:"
_OF_DOCTEST = re.compile(r"(?:Expected(?: nothing|:)|Exception raised:)$")
_NEAR = 4


@dataclass
class Heard:
    """A line outside every exception that may fit one of these ``patterns``.

    ``above`` are the lines right above it. ``progress``: how much there was before it. ``again``: the line below it
    says that another try comes. ``captured``: a test printed it. ``told``: its framework says so of why it failed.
    """

    line: Line
    patterns: tuple[int, ...]
    above: tuple[str, ...]
    captured: bool
    progress: int
    again: bool = False
    told: bool = False


@dataclass(frozen=True)
class Hit:
    """A line outside every exception that fits a rule. ``progress``: how much there was before it.

    ``again``: it says itself, or the line below does, that another try comes. ``captured``: a test printed it.
    ``told``: its framework says so of why the test failed.
    """

    rule: LogRule
    line: Line
    retried: bool
    captured: bool
    progress: int
    again: bool = False
    told: bool = False


class TestOutput:
    """Follows the lines of a log."""

    __test__ = False

    def __init__(self) -> None:
        self._inside = False
        self._tells = False
        self._heard: list[Heard] = []

    def take(self, text: str) -> None:
        """Take the next line."""
        if _BEGINS.match(text):
            self._inside, self._tells, self._heard = True, False, []
        elif _PASSED.match(text):
            self._go_on(False)
        elif _ENDS.match(text):
            self._inside = False
        elif self._inside and _SAID_BY_GO.match(text):
            # It prints what a test only logs in the same way: why it failed stands last.
            self._go_on(True)
        elif self._inside and _TELLS.match(text):
            self._tells = True

    def hear(self, heard: Heard) -> None:
        """A line of it may fit a rule."""
        if self._inside:
            heard.told, heard.captured = self._tells, heard.captured or not self._tells
            self._heard.append(heard)

    def _go_on(self, inside: bool) -> None:
        for heard in self._heard:
            heard.told, heard.captured = False, True
        self._inside, self._tells, self._heard = inside, inside, []


def decides(hit: Hit, tail: Tail) -> bool:
    """Whether a line may be why something ended, and does not only tell with another one."""
    if hit.line.text == _DOCTEST:
        first = next((line for line in tail.after(hit.line.number) if _OF_DOCTEST.match(line)), "")
        return first.startswith("Expected")
    if hit.rule.name == COMPARED and _GOT.match(hit.line.text):
        above = tail.before(hit.line.number).lines[-2 * _NEAR :]
        wanted = any(map(_WANTED.match, (*above[-_NEAR:], *tail.after(hit.line.number)[:_NEAR])))
        return wanted and any(map(_FAILED.search, above))
    quoted = hit.told and _SHOWN.match(hit.line.text)
    return hit.rule.name != PAGE and not quoted


def wants_success(hit: Hit, tail: Tail) -> bool:
    """Whether a test compared with what a call gives that went well."""
    above, below = tail.before(hit.line.number).lines[-2:], tail.after(hit.line.number)[:_NEAR]
    return any(map(_WENT_WELL.search, (*above, hit.line.text, *below)))


def is_started_again(hit: Hit, tail: Tail) -> bool:
    """Whether the command above it, as a shell's trace shows it, stands below it once more."""
    above = tail.before(hit.line.number).lines[-1:]
    return bool(above) and above[0].startswith("+") and above[0] in tail.after(hit.line.number)
