"""The past of other tools, as events."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.history.imports import Foreign, NotForeign, read, told
from trainci.history.runs import run_of
from trainci.model.run import Attempt, Cause, Ending, Item, Outcome, Result, Run, Verdict
from trainci.model.tests import Test
from trainci.reports.ctrf import ctrf
from trainci.reports.junit import junit

ATTEMPT = Attempt(
    Test("tests/test_a.py[--x]"), 1, 0.0, 1_700_000_001.0, 1_700_000_003.5, Ending(Cause.EXITED, 1), "log"
)
RUN = Run(
    "r",
    "c0ffee12",
    1_700_000_000.0,
    1_700_000_009.0,
    (
        Result("tests/test_a.py[--x]", Verdict(Outcome.FAILED, "exit code 1"), (ATTEMPT,)),
        Result("tests/test_b.py", Verdict(Outcome.PASSED, "in 2.5 s"), (ATTEMPT,)),
        Result("tests/test_c.py", Verdict(Outcome.SKIPPED, "disabled")),
    ),
    "8 × H100",
    1,
)


def outcomes(found: Foreign) -> dict[str, str]:
    return {item.name: item.outcome for item in found.tests}


@pytest.mark.parametrize("form", ["junit", "ctrf"])
def test_what_trainci_exported_comes_back(tmp_path: Path, form: str) -> None:
    data = junit(RUN, tmp_path) if form == "junit" else ctrf(RUN, tmp_path)
    found = read(data, ())
    assert (found.at, found.commit) == (1_700_000_000.0, "c0ffee12")
    assert outcomes(found) == {
        "tests/test_a.py[--x]": "failed",
        "tests/test_b.py": "passed",
        "tests/test_c.py": "skipped",
    }
    assert found.tests[0].seconds == 2.5


def test_what_pytest_tells_of_several_tests_is_told_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text(
        "class TestIt:\n    def test_1(self): pass\n    def test_2(self): assert 0, 'no'\n"
    )
    (tmp_path / "tests/test_b.py").write_text("def test_3(): pass\n")
    words = ["-m", "pytest", "-q", "--junitxml=j.xml", "-p", "no:cacheprovider", "tests"]
    subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, check=False)
    found = read((tmp_path / "j.xml").read_bytes(), ("tests/test_a.py", "tests/test_b.py"))
    assert outcomes(found) == {"tests/test_a.py": "failed", "tests/test_b.py": "passed"}
    assert found.tests[0].message.startswith("2 items: AssertionError: no")


def test_the_same_file_is_the_same_run_and_another_one_another() -> None:
    data = ctrf(RUN, Path("nowhere"))
    first, again = (run_of(told(read(data, ()), data, 1.0, "")) for _ in range(2))
    other = run_of(told(read(data, ()), data + b" ", 1.0, ""))
    assert first == again and first.id != other.id
    assert [result.verdict.outcome for result in first.results] == [Outcome.FAILED, Outcome.PASSED, Outcome.SKIPPED]
    assert first.results[0].attempts[0].duration == 2.5 and first.exit_code == 1


@pytest.mark.parametrize("data", [b"", b"nonsense", b"{}", b'{"results": 3}', b"[" * 100_000, b"{" * 100_000])
def test_what_is_neither_is_told(data: bytes) -> None:
    with pytest.raises(NotForeign):
        read(data, ())


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)
_TEST = st.fixed_dictionaries(
    {
        "name": st.text() | _JSON,
        "status": st.sampled_from(["passed", "other", "pending"]) | _JSON,
        "duration": _JSON,
    }
)


@given(st.fixed_dictionaries({"results": st.fixed_dictionaries({"tests": st.lists(_TEST), "summary": _JSON})}))
def test_nothing_hostile_is_more_than_told(document: object) -> None:
    data = json.dumps(document).encode()
    try:
        found = read(data, ())
    except NotForeign:
        return
    run_of(told(found, data, 1.0, ""))


@pytest.mark.parametrize("data", [b"<testsuites/>", b"<html><testsuite/></html>", b'{"results": {"tests": []}}'])
def test_a_report_without_a_test_is_refused(data: bytes) -> None:
    with pytest.raises(NotForeign, match="it tells of no test"):
        read(data, ())


def test_what_a_comment_says_is_not_told() -> None:
    said = b'<testsuite timestamp="2026-01-01"><property name="commit" value="0badc0de"/>'
    data = b'<testsuite timestamp="2023-11-14T22:13:20"><!-- ' + said + b" --><properties>"
    data += b'<property value="c0ffee12" name="commit"/></properties><testcase name="a"/></testsuite>'
    found = read(data, ())
    assert (found.at, found.commit, outcomes(found)) == (1_700_000_000.0, "c0ffee12", {"a": "passed"})


def test_ten_megabytes_of_beginnings_take_no_longer_than_of_anything_else() -> None:
    """A search by a pattern took hours: of each of them it looked for the end."""
    data = b"<testsuite><!-- " + b"<testsuite " * 1_000_000 + b'--><testcase name="a"/></testsuite>'
    assert read(data, ()).commit == ""


@pytest.mark.parametrize("number", [1e300, -1e300, 1e999, 10**400, float("nan")])
def test_no_number_and_no_commit_of_a_report_breaks_the_history(number: float) -> None:
    """Whoever wrote it: what no clock can tell, or no database hold, is not known."""
    test = {"name": "a", "status": "passed", "duration": number}
    environment = {"commit": "\ud800\0"}
    said = {"results": {"tests": [test], "summary": {"start": number}, "environment": environment}}
    found = read(json.dumps(said).encode(), ())
    assert (found.at, found.commit, found.tests[0].seconds) == (None, "", 0.0)
    xml = f'<testsuites><testsuite timestamp="9999-12-31T00:00:00"><testcase name="a" time="{number}"/>'
    found = read(f"{xml}<testcase name='' classname=''/></testsuite></testsuites>".encode(), ())
    assert (found.at, found.tests) == (None, (Item("a", "passed", 0.0, ""),))


def junit_of(cases: str, attributes: str = "") -> bytes:
    return f'<testsuites><testsuite name="s" {attributes}>{cases}</testsuite></testsuites>'.encode()


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        # googletest
        ('<testcase name="t" status="run" result="completed" time="0."/>', "passed"),
        ('<testcase name="t" status="notrun" result="suppressed" time="0."/>', "skipped"),
        ('<testcase name="t" status="run" result="skipped"><skipped message="no GPU"/></testcase>', "skipped"),
        ('<testcase name="t" status="run" result="completed"><failure message="no"/></testcase>', "failed"),
        # Surefire, cargo-nextest, trainci
        ('<testcase name="t"><flakyFailure message="once" type="x">a</flakyFailure></testcase>', "flaky"),
        ('<testcase name="t"><flakyError message="once" type="x"/></testcase>', "flaky"),
        ('<testcase name="t"><failure message="a"/><rerunFailure message="b"/></testcase>', "failed"),
        ('<testcase name="t"><flakyFailure/></testcase><testcase name="t"><failure/></testcase>', "failed"),
        # Others that have no element for it
        ('<testcase name="t" status="Failed"/>', "failed"),
        ('<testcase name="t" status="disabled"/>', "skipped"),
        ('<testcase name="t" status="passed"/>', "passed"),
    ],
)
def test_what_another_writer_says_of_a_test_is_what_became_of_it(case: str, outcome: str) -> None:
    data = junit_of(case)
    (found,) = run_of(told(read(data, ()), data, 5.0, "")).results
    assert found.verdict.outcome.value == outcome
    assert len(found.attempts) == {"skipped": 0, "flaky": 2}.get(outcome, 1)


def test_a_flake_of_a_ctrf_report_is_one_where_it_passed() -> None:
    tests = [{"name": n, "status": s, "flaky": f} for n, s, f in (("a", "passed", True), ("b", "failed", True))]
    data = json.dumps({"results": {"tests": [*tests, {"name": "c", "status": "passed", "flaky": "yes"}]}}).encode()
    results = run_of(told(read(data, ()), data, 5.0, "")).results
    assert [(one.test_id, one.verdict.outcome.value) for one in results] == [
        ("a", "flaky"),
        ("b", "failed"),
        ("c", "passed"),
    ]


@pytest.mark.parametrize(
    ("said", "seconds"), [("1,234.5", 1234.5), ("0,5", 0.5), ("0.", 0.0), ("2e-1", 0.2), ("x", 0)]
)
def test_a_duration_is_read_as_its_language_writes_it(said: str, seconds: float) -> None:
    assert read(junit_of(f'<testcase name="t" time="{said}"/>'), ()).tests[0].seconds == seconds


def test_a_time_of_the_whole_report_is_its_time_too() -> None:
    suite = b'<testsuite><testcase name="t"/></testsuite>'
    data = b'<testsuites timestamp="1970-01-01T00:01:00+00:00">' + suite + b"</testsuites>"
    assert read(data, ()).at == 60.0


def test_a_flake_that_trainci_exported_comes_back_as_one() -> None:
    verdict = Verdict(Outcome.FLAKY, "passed on attempt 2")
    run = Run("r", "c0ffee12", 1.7e9, 1.7e9, (Result("tests/test_a.py", verdict, (ATTEMPT,)),), "no GPU", 0)
    for data in (junit(run, Path()), ctrf(run, Path())):
        assert read(data, ()).flaky == {"tests/test_a.py"}


def test_tests_of_one_name_are_one_with_the_worst_outcome() -> None:
    tests = [{"name": "a", "status": status} for status in ("passed", "failed", "passed", "skipped")]
    assert [item.outcome for item in read(ctrf_of(tests), ()).tests] == ["failed"]


def test_more_tests_than_anybody_reads_are_told() -> None:
    with pytest.raises(NotForeign, match="more than 100000 tests"):
        read(ctrf_of([{"name": f"t{number}", "status": "passed"} for number in range(100_001)]), ())


def ctrf_of(tests: list[dict[str, str]]) -> bytes:
    return json.dumps({"results": {"tests": tests}}).encode()
