from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml, TestSuite
from support import examples

from trainci.model.diagnosis import Blame, Diagnosis, Frame
from trainci.model.run import Attempt, Cause, Ending, Outcome, Result, Run, Verdict
from trainci.model.tests import Test
from trainci.reports.junit import write_junit

_HOSTILE = st.one_of(
    st.text(st.characters(), max_size=30),
    st.text("]>&<\"'\0\x1b\ud800\udcff\ufffe\r\n\t!-[CDATA", max_size=30),
)


def _result(name: str, outcome: Outcome = Outcome.PASSED, sentence: str = "why", log: str = "log") -> Result:
    attempts = (Attempt(Test(name, "t.py"), 1, 0.0, 1.0, 3.5, Ending(Cause.EXITED, 0), log),)
    without = outcome in (Outcome.REFUSED, Outcome.SKIPPED)
    return Result(name, Verdict(outcome, sentence), () if without else attempts)


def _write(
    root: Path,
    *results: Result,
    devices: str = "8 × H100",
    replay: dict[str, str] | None = None,
    commit: str = "abc",
) -> Any:
    run = Run("20260101-id", commit, 1_700_000_000.0, 1_700_000_009.0, results, devices, 1, replay or {})
    write_junit(run, root, root / "out" / "junit.xml")
    return JUnitXml.fromfile(str(root / "out" / "junit.xml"))


@settings(max_examples=examples(80))
@given(
    name=_HOSTILE, sentence=_HOSTILE, devices=_HOSTILE, replay=_HOSTILE, commit=_HOSTILE, log=st.binary(max_size=60)
)
def test_any_text_is_written_and_read_back(
    new_repository: Callable[[], Any], name: str, sentence: str, devices: str, replay: str, commit: str, log: bytes
) -> None:
    repository = new_repository()
    repository.write("log", log)
    results = [_result(name, outcome, sentence) for outcome in Outcome]
    document = _write(repository.root, *results, devices=devices, replay={name: replay}, commit=commit)
    (suite,) = document
    assert len(list(suite)) == len(results)
    assert (document.tests, document.failures, document.skipped) == (10, 4, 1)


def test_tests_are_counted_as_often_as_ever_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, counted = TestSuite.update_statistics, []
    monkeypatch.setattr(TestSuite, "update_statistics", lambda suite: counted.append(suite) or count(suite))
    (tmp_path / "log").touch()
    assert _write(tmp_path, *(_result(f"tests/test_{n}.py") for n in range(500))).tests == 500
    assert len(counted) < 5


def test_every_outcome_but_passed_shows_as_something_else(repository: Any) -> None:
    kinds = {}
    document = _write(repository.root, *(_result(outcome.value, outcome) for outcome in Outcome))
    for case in next(iter(document)):
        kinds[case.name] = [type(result).__name__ for result in case.result]
    assert kinds == {
        "passed": [],
        "flaky": [],
        "failed": ["Failure"],
        "timed out": ["Failure"],
        "hung": ["Failure"],
        "unsure": ["Failure"],
        "refused": ["Error"],
        "skipped": ["Skipped"],
        "interrupted": ["Error"],
        "machine's fault": ["Error"],
    }


def test_a_case_holds_its_duration_sentence_output_and_replay(repository: Any) -> None:
    repository.write("log", "one\n\x1b[31mtwo ]]> <b>\n")
    document = _write(
        repository.root,
        _result("tests/a.py[--x]", Outcome.FAILED, "exit code 1"),
        replay={"tests/a.py[--x]": "trainci run"},
    )
    (suite,) = document
    (case,) = suite
    assert (case.name, case.classname, case.time) == ("tests/a.py[--x]", "tests/a.py", 2.5)
    assert (case.result[0].message, case.result[0].type) == ("exit code 1", "failed")
    assert case.system_out == "one\ntwo ]]> <b>"
    assert case.system_err == "replay: trainci run"
    assert datetime.fromisoformat(suite.timestamp) == datetime.fromtimestamp(1_700_000_000, timezone.utc)
    assert {item.name: item.value for item in suite.properties()} == {"commit": "abc", "devices": "8 × H100"}


def test_a_failure_has_its_reason_as_message_and_all_that_tells_why_as_body(repository: Any) -> None:
    repository.write("log", "step 1\nValueError: nan\n")
    why = Diagnosis(Blame.CODE, "nan", "", "ValueError: nan", 2, Frame("lib/loss.py", 7))
    attempt = Attempt(Test("t.py"), 1, 0.0, 1.0, 3.5, Ending(Cause.EXITED, 1), "log")
    result = Result("t.py", Verdict(Outcome.FAILED, "exit code 1", why), (attempt,))
    (suite,) = _write(repository.root, result, replay={"t.py": "trainci run --id t.py"})
    (case,) = suite
    assert case.result[0].message == "ValueError: nan"
    assert case.result[0].text.splitlines()[:9] == [
        "ValueError: nan",
        "at: lib/loss.py:7",
        "why: code (rule nan, line 2 of the log): exit code 1",
        "",
        "step 1",
        "ValueError: nan",
        "",
        "log: log",
        "replay: trainci run --id t.py",
    ]


def test_a_log_that_is_gone_is_no_output(repository: Any) -> None:
    (suite,) = _write(repository.root, _result("t", log="nowhere"))
    assert next(iter(suite)).system_out is None


def test_an_older_report_is_replaced_whole(repository: Any) -> None:
    repository.write("out/junit.xml", "old " * 10_000)
    assert _write(repository.root, _result("t")).tests == 1
    assert [path.name for path in (repository.root / "out").iterdir()] == ["junit.xml"]


def test_a_report_that_cannot_be_written_leaves_no_other_file(repository: Any) -> None:
    (repository.root / "out" / "junit.xml").mkdir(parents=True)
    with pytest.raises(OSError):
        _write(repository.root, _result("t"))
    assert [path.name for path in (repository.root / "out").iterdir()] == ["junit.xml"]
