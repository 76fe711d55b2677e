"""What other frameworks say of tests that failed is read as they print it, and only from them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.framework_ends import said_failures

GTEST = """[==========] Running 2 tests from 1 test suite.
[ RUN      ] A.good
[       OK ] A.good (0 ms)
[ RUN      ] A.bad
[  {} ] A.bad (0 ms)
[==========] 2 tests from 1 test suite ran. (0 ms total)
{}"""
# By the name of the framework: what a run says in which a test failed, what one says in which none did.
SAID = {
    "gtest": (
        GTEST.format("FAILED ", "[  PASSED  ] 1 test.\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] A.bad\n"),
        GTEST.format("     OK", "[  PASSED  ] 2 tests.\n"),
    ),
    "Catch2": (
        "test cases: 2 | 1 passed | 1 failed\nassertions: 2 | 1 passed | 1 failed\n",
        "All tests passed (2 assertions in 2 test cases)\n",
    ),
    "doctest": (
        "[doctest] test cases: 2 | 1 passed | 1 failed | 0 skipped\n[doctest] Status: FAILURE!\n",
        "[doctest] test cases:  2 |  2 passed | 0 failed | 0 skipped\n[doctest] Status: SUCCESS!\n",
    ),
    "ctest": (
        "50% tests passed, 1 tests failed out of 2\n\nThe following tests FAILED:\n\t  2 - bad (Failed)\n",
        "100% tests passed, 0 tests failed out of 1\n",
    ),
    "cargo test": (
        "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    ),
    "nextest": (
        "     Summary [   0.005s] 2 tests run: 1 passed, 1 failed, 0 skipped\n",
        "     Summary [   0.005s] 2 tests run: 2 passed, 0 skipped\n",
    ),
    "go test": ("--- FAIL: TestA (0.00s)\nFAIL\nFAIL\tp/a\t0.003s\nFAIL\n", "ok  \tp/a\t0.003s\n"),
    "TAP": ("1..2\nok 1 - a\nnot ok 2 - b\n# a remark\n", "1..2\nok 1 - a\nok 2 - b\n"),
    "bats": (" ✓ a\n ✗ b\n\n2 tests, 1 failure\n", " ✓ a\n ✓ b\n\n2 tests, 0 failures\n"),
    "prove": (
        "Files=1, Tests=2,  0 wallclock secs ( 0.01 usr)\nResult: FAIL\n",
        "Files=1, Tests=2,  0 wallclock secs ( 0.01 usr)\nResult: PASS\n",
    ),
    "jest": (
        "Test Suites: 1 failed, 1 total\nTests:       1 failed, 1 passed, 2 total\n",
        "Test Suites: 1 passed, 1 total\nTests:       2 passed, 2 total\n",
    ),
    "vitest": (
        " Test Files  1 failed (1)\n      Tests  1 failed | 1 passed (2)\n",
        " Test Files  1 passed (1)\n      Tests  2 passed (2)\n",
    ),
    "mocha": ("  1 passing (49ms)\n  1 failing\n\n  1) a\n", "  2 passing (5ms)\n\n"),
    "node": ("# tests 2\n# pass 1\n# fail 1\n# duration_ms 1.1\n", "# pass 2\n# fail 0\n# duration_ms 1.2\n"),
    "Maven": (
        "[ERROR] Tests run: 2, Failures: 1, Errors: 0, Skipped: 0\n",
        "[INFO] Tests run: 2, Failures: 0, Errors: 0, Skipped: 0\n",
    ),
    "JUnit": ("FAILURES!!!\nTests run: 2,  Failures: 1\n", "OK (2 tests)\n"),
    "Bazel": (
        "Executed 2 out of 2 tests: 1 test passes and 1 fails locally.\n",
        "Executed 2 out of 2 tests: 2 tests pass.\n",
    ),
    "tox": ("  py: FAIL code 1\n  evaluation failed :( (0.10 seconds)\n", "  congratulations :) (0.11 seconds)\n"),
    "nox": ("nox > Session a-3.11 failed.\n", "nox > Session a-3.11 was successful.\n"),
    "dotnet test": (
        "Failed!  - Failed:     1, Passed:     1, Skipped:     0, Total:     2\n",
        "Passed!  - Failed:     0, Passed:     2, Skipped:     0, Total:     2\n",
    ),
    "minitest": (
        "2 runs, 2 assertions, 1 failures, 0 errors, 0 skips\n",
        "2 runs, 2 assertions, 0 failures, 0 errors, 0 skips\n",
    ),
    "PHPUnit": ("FAILURES!\nTests: 2, Assertions: 2, Failures: 1.\n", "OK (2 tests, 2 assertions)\n"),
    "Robot": ("2 tests, 1 passed, 1 failed\n", "2 tests, 2 passed, 0 failed\n"),
}
ONLY_BAD = {
    "Bazel": "Executed 1 out of 2 tests: 2 fail locally.\n",
    "Gradle": "\n2 tests completed, 1 failed\n",
    "JUnit": "[         1 tests successful      ]\n[         1 tests failed          ]\n",
    "bats": "2 examples, 1 failure\n",
    "jest": "Test Suites: 1 failed, 2 passed, 3 total\n",
    "go test": "FAIL\tp/b [build failed]\n",
    "PHPUnit": "FAILURES!\nTests: 2, Assertions: 1, Errors: 1.\n",
    "cargo test": "test result: FAILED. 0 passed; 1 failed; 0\ntest result: ok. 9 passed; 0 failed; 0\n"
    "error: 1 target failed:\n    `--lib`\n",
}
PYTEST = "=== test session starts ===\n{}=== 1 passed in 0.12s ===\n"


@pytest.mark.parametrize("by", SAID)
def test_what_a_framework_says_of_its_failures_is_read(by: str) -> None:
    bad, good = SAID[by]
    (found,) = said_failures(f"hello\n{bad}bye\n")
    assert found.by == by
    assert found.counts.split()[0] in f"hello\n{bad}".splitlines()[found.line - 1]
    assert said_failures(f"hello\n{good}bye\n") == ()
    assert said_failures(f"{bad}{good}") == (), "run again"
    assert [each.by for each in said_failures(f"{good}{bad}")] == [by]


@pytest.mark.parametrize("by", ONLY_BAD)
def test_so_is_another_way_of_saying_it(by: str) -> None:
    assert by in [each.by for each in said_failures(ONLY_BAD[by])]


@pytest.mark.parametrize("by", SAID)
def test_what_a_test_of_pytest_prints_is_judged_by_pytest(by: str) -> None:
    bad = SAID[by][0]
    assert said_failures(PYTEST.format(bad)) == ()
    assert [each.by for each in said_failures(f"{bad}{PYTEST.format('')}")] == [by], "before it"
    quiet = f"{bad}.\n1 passed in 0.12s\n"
    assert said_failures(quiet, is_one=True) == ()
    assert [each.by for each in said_failures(quiet)] == [by]


@pytest.mark.parametrize(
    "text",
    [
        "not ok 2 - no plan\n",
        "1..2\nok 1\nnot ok 2 - b # TODO later\n",
        "1..2\n    not ok 2 - of a subtest\n",
        "[  FAILED  ] A.b\n",
        "test cases: 2 | 1 passed | 1 failed as expected\nassertions: 2 | 1 passed | 1 failed as expected\n",
        "all 2 tests, 1 failure is too much\n",
        "FAIL\tme\n",
        "error: test failed, to rerun pass `--lib`\n",
        "  0 passing (1ms)\n",
        "loss failed\nTests run: none, Failures: none\n",
    ],
)
def test_what_only_looks_like_it_is_none(text: str) -> None:
    assert said_failures(text) == ()


def test_another_part_that_is_good_makes_nothing_good() -> None:
    assert [each.counts for each in said_failures("FAIL\tp/a\t0.1s\nok  \tp/b\t0.1s\n")] == ["FAIL p/a 0.1s"]
    assert said_failures("FAIL\tp/a\t0.1s\nok  \tp/a\t0.1s\n") == ()
    assert len(said_failures("1..3\nnot ok 1 - a\nok 2 - b\nnot ok 3 - c in 4ms\nok 1 - a\n")) == 1


@given(st.text("1..2 not ok\n-[=]FAILED:(,)|\tpassedfail0test", max_size=300))
def test_any_text_is_read(text: str) -> None:
    said_failures(text)


@pytest.mark.slow
def test_a_long_log_costs_no_time() -> None:
    began = time.process_time()
    said_failures(
        "".join(bad for bad, _ in SAID.values()) + "1 2 tests, failed | passed " * 200_000 + "\n" * 100_000
    )
    assert time.process_time() - began < 5
