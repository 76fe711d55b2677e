"""A run as CTRF, held to the schema that its authors publish."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import unavailable

from trainci.model.diagnosis import Blame, Diagnosis, Frame
from trainci.model.run import Attempt, Cause, Ending, Item, Outcome, Result, Results, Run, Verdict
from trainci.model.tests import Test
from trainci.reports.ctrf import ctrf

SCHEMA = Path(__file__).parents[1] / "browser/node_modules/ctrf/dist/ctrf-schema-0.0.json"
WHY = Diagnosis(Blame.CODE, "nan", "", "ValueError: nan", 2, Frame("lib/loss.py", 7))
ITEMS = Results((Item("a", "passed"), Item("b", "error"), Item("c", "skipped")))
ATTEMPT = Attempt(Test("t.py"), 1, 10.0, 11.0, 13.5, Ending(Cause.EXITED, 1), "log", ("GPU-0",), results=ITEMS)


def made(root: Path, *results: Result) -> Any:
    run = Run("run-1", "c0ffee", 10.0, 20.0, results, "8 × H100", 1, {"t.py": "trainci run --id t.py"})
    return json.loads(ctrf(run, root))


@pytest.mark.slow
def test_every_outcome_is_valid_by_the_schema_of_ctrf(tmp_path: Path) -> None:
    if not SCHEMA.exists():
        unavailable("CTRF's schema is not installed (npm ci --prefix tests/browser)")
    results = [Result(f"{o.value}.py", Verdict(o, "why", WHY), (ATTEMPT,)) for o in Outcome]
    results += [Result("never\ud800\0<b>.py", Verdict(o, "")) for o in Outcome]
    jsonschema.validate(made(tmp_path, *results), json.loads(SCHEMA.read_text()))


def test_a_red_test_has_its_reason_and_the_place_in_the_repository(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("step 1\nValueError: nan\n")
    (test,) = made(tmp_path, Result("t.py", Verdict(Outcome.FAILED, "exit code 1", WHY), (ATTEMPT,)))["results"][
        "tests"
    ]
    assert (test["status"], test["message"], test["trace"]) == (
        "failed",
        "ValueError: nan",
        "step 1\nValueError: nan",
    )
    assert (test["filePath"], test["line"], test["duration"]) == ("lib/loss.py", 7, 2500)
    assert [step["status"] for step in test["steps"]] == ["passed", "failed", "skipped"]


def test_what_is_not_the_tests_fault_is_other_and_a_pass_after_a_failure_is_flaky(tmp_path: Path) -> None:
    machine = Result("m.py", Verdict(Outcome.MACHINE, "gone"), (ATTEMPT,))
    flaky = Result("f.py", Verdict(Outcome.FLAKY, "in 1 s"), (ATTEMPT, replace(ATTEMPT, number=2)))
    said = made(tmp_path, machine, flaky)["results"]
    assert [(test["status"], test["flaky"]) for test in said["tests"]] == [("other", False), ("passed", True)]
    assert {name: said["summary"][name] for name in ("tests", "passed", "failed", "other")} == {
        "tests": 2,
        "passed": 1,
        "failed": 0,
        "other": 1,
    }


def test_a_flake_that_fails_its_run_is_no_pass(tmp_path: Path) -> None:
    """As its entry's `fail_on_flaky` says."""
    strict = replace(ATTEMPT, test=replace(ATTEMPT.test, fail_on_flaky=True))
    said = made(tmp_path, Result("f.py", Verdict(Outcome.FLAKY, "in 1 s"), (strict, replace(strict, number=2))))
    assert [test["status"] for test in said["results"]["tests"]] == ["failed"]


def test_a_test_without_a_place_has_its_file_as_the_run_planned_it(tmp_path: Path) -> None:
    """As annotations have it, wherever the report is made: files of that name tell nothing."""
    (tmp_path / "moe").write_text("no test")
    results = [Result("moe", Verdict(Outcome.PASSED, "in 1 s")), Result("gone", Verdict(Outcome.PASSED, "in 1 s"))]
    refused = Result("gone[--x]", Verdict(Outcome.REFUSED, "tests/gone.py:3: does not parse"))
    run = Run("r", "c", 0.0, 1.0, (*results, refused), "no GPU", 1, files={"gone": "tests/gone.py"})
    told = json.loads(ctrf(run, tmp_path))["results"]["tests"]
    assert [(test.get("filePath"), test.get("line")) for test in told] == [
        (None, None),
        ("tests/gone.py", None),
        ("tests/gone.py", 3),
    ]
