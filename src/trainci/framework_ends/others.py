"""What frameworks of other languages, and tools that run tests, say at the end of their output. Pure.

A line counts that none but the tool prints: its summary, or the line of a test that it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class OtherEnd:
    """A framework said, at ``place`` of the text, that ``bad`` tests failed and ``passed`` passed.

    ``name`` is the test or the part of them of which it says so; empty where that is the whole run.
    """

    by: str
    said: str
    place: int
    bad: int
    passed: int
    name: str


@dataclass(frozen=True)
class _Format:
    """``needle`` stands in each ``end`` that is bad; its groups are those of OtherEnd, ``total`` counts all tests.

    Where it has a group ``bad`` or ``well``, that is a word for it. ``beside`` stands somewhere in such an output.
    """

    by: str
    needle: str
    end: str
    beside: str = ""


_FORMATS = (
    # https://google.github.io/googletest: the list of failed tests has no times, the line of a good one has.
    _Format(
        "gtest",
        "[  FAILED  ]",
        r"\[  (?:(?P<bad>FAILED)  |(?P<well>     OK) )\] (?P<name>[\w/]+\.[\w/]+)(?:, where .*)?"
        r"(?(well) \(\d+ ms\))$",
        beside="[==========] ",
    ),
    # https://github.com/catchorg/Catch2/blob/devel/docs/reporters.md (console)
    _Format(
        "Catch2",
        "failed",
        r"(?:test cases: *\d+ \|(?: *(?P<passed>\d+) passed \|?)?(?: *(?P<failed>\d+) failed\b(?! as))?"
        r".*\nassertions: "
        r"|All tests passed \(\d+ assertions? in (?P<total>\d+) test cases?\)$)",
    ),
    _Format(
        "doctest",
        "[doctest] ",
        r"\[doctest\] test cases: *\d+ \| *(?P<passed>\d+) passed \| *(?P<failed>\d+) failed \|",
    ),
    # ctest(1)
    _Format(
        "ctest",
        " failed out of ",
        r"\d+% tests passed, (?P<failed>\d+) tests? failed out of (?P<total>\d+)$",
    ),
    # A target may pass after another one failed; what cargo says at its end is of all.
    _Format(
        "cargo test",
        "test result: FAILED. ",
        r"(?:(?P<bad>error: (?:test failed, to rerun pass|\d+ targets? failed:)|test result: FAILED\.)"
        r"|test result: ok\. (?P<passed>\d+) passed; 0 failed; )",
    ),
    _Format(
        "nextest",
        " failed",
        r" +Summary \[.*\] +\d+(?:/\d+)? tests? run: (?P<passed>\d+) passed[^,\n]*(?:, (?P<failed>\d+) failed)?",
    ),
    # `go help test`: a line for each package
    _Format(
        "go test",
        "FAIL\t",
        r"(?:(?P<bad>FAIL)|(?P<well>ok)  )\t(?P<name>\S+)(?:\t(?:[\d.]+s|\(cached\))| \[\w+ failed\])",
    ),
    # https://testanything.org/tap-version-14-specification.html; bats adds the time.
    _Format(
        "TAP",
        "not ok ",
        r"(?:(?P<bad>not ok)|(?P<well>ok)) \d+(?!.*# ?(?i:todo|skip))(?: -)? (?P<name>.*?)(?: (?:# )?in \d+ ?ms)?$",
        beside="1..",
    ),
    _Format("bats", " failure", r"(?P<total>\d+) (?:tests?|examples?), (?P<failed>\d+) failures?\b"),
    _Format(
        "prove", "Result: FAIL", r"Files=\d+, Tests=(?P<passed>\d+), .*\nResult: (?:(?P<bad>FAIL)|(?P<well>PASS))$"
    ),
    _Format(
        "jest",
        "Test Suites: ",
        r"Test Suites: (?:(?P<failed>\d+) failed, )?(?:\d+ skipped, )?(?:(?P<passed>\d+) passed, )?"
        r"(?:\d+ of )?\d+ total$",
    ),
    _Format(
        "vitest",
        " Test Files  ",
        r" +Test Files  (?:(?P<failed>\d+) failed)?(?: \| )?(?:(?P<passed>\d+) passed)?.*\(\d+\)$",
    ),
    _Format(
        "mocha",
        " failing",
        r"  (?P<passed>\d+) passing \(\d+\w+\)(?:\n  \d+ pending)?(?:\n  (?P<failed>\d+) failing)?$",
    ),
    _Format("node", " fail ", r"\S pass (?P<passed>\d+)\n\S fail (?P<failed>\d+)$", beside=" duration_ms "),
    # Each class has a line with the time it took; the one of all has none.
    _Format(
        "Maven",
        "Tests run: ",
        r"\[(?:ERROR|WARNING|INFO)\] Tests run: (?P<total>\d+), Failures: (?P<failed>\d+), Errors: (?P<errors>\d+),"
        r" Skipped: \d+$",
    ),
    _Format("Gradle", " completed, ", r"(?P<total>\d+) tests? completed, (?P<failed>\d+) failed\b"),
    _Format(
        "JUnit",
        "Failures: ",
        r"(?:FAILURES!!!\nTests run: (?P<total>\d+), +Failures: (?P<failed>\d+)|OK \((?P<passed>\d+) tests?\)$)",
    ),
    _Format(
        "JUnit",
        " tests failed ",
        r"\[ +(?P<passed>\d+) tests successful +\]\n\[ +(?P<failed>\d+) tests failed +\]$",
    ),
    _Format(
        "Bazel",
        "Executed ",
        r"Executed \d+ out of \d+ tests?: (?:(?P<passed>\d+) tests? pass(?:es)?)?[^\d\n]*"
        r"(?:(?P<failed>\d+) fails?\b)?",
    ),
    _Format(
        "tox",
        "evaluation failed :(",
        r"  (?:(?P<bad>evaluation failed :\()|(?P<well>congratulations :\))) \(",
    ),
    _Format(
        "nox",
        "nox > Session ",
        r"nox > Session (?P<name>\S+) (?:(?P<bad>failed\.)|(?P<well>was successful))",
    ),
    _Format(
        "dotnet test",
        "Failed!  - ",
        r"(?:Failed|Passed)!  - Failed: +(?P<failed>\d+), Passed: +(?P<passed>\d+), ",
    ),
    _Format(
        "minitest",
        " assertions, ",
        r"(?P<total>\d+) (?:runs|tests), \d+ assertions, (?P<failed>\d+) failures, (?P<errors>\d+) errors, ",
    ),
    _Format(
        "PHPUnit",
        "FAILURES!",
        r"(?:FAILURES!\nTests: (?P<total>\d+), Assertions: \d+(?:, Errors: (?P<errors>\d+))?"
        r"(?:, Failures: (?P<failed>\d+))?|OK \((?P<passed>\d+) tests?, \d+ assertions?\)$)",
    ),
    _Format("Robot", " failed", r"(?P<total>\d+) tests?, (?P<passed>\d+) passed, (?P<failed>\d+) failed$"),
)


def other_ends(text: str) -> Iterator[OtherEnd]:
    """Each of them of which some part is bad, and the good ones of the same framework; not in their order."""
    for known in _FORMATS:
        if known.needle in text and known.beside in text:
            for found in re.finditer(f"^{known.end}", text, re.MULTILINE):
                yield _said(known.by, found)


def _said(by: str, found: re.Match[str]) -> OtherEnd:
    groups = found.groupdict()

    def count(name: str) -> int:
        return int(groups.get(name) or 0)

    bad = count("failed") + count("errors") + bool(groups.get("bad"))
    passed = count("passed") or max(0, count("total") - bad) or bool(groups.get("well"))
    said = " ".join(found[0].split())
    return OtherEnd(by, said, found.start(), bad, 0 if groups.get("bad") else passed, groups.get("name") or "")
