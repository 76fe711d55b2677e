"""What programs read: each command's answer is held to its documented schema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.answers import ANSWERS
from trainci.answers.form import number, schema_of

DOCS = Path(__file__).parents[2] / "docs"
PASSES = "NUM_GPUS = 0\nif __name__ == '__main__':\n    print('fine')\n"
RECORDS = PASSES + "    from trainci.testing import record_metric\n    record_metric('loss', float('nan'))\n"
FAILS = "NUM_GPUS = 2\nif __name__ == '__main__':\n    assert 0, 'no'\n"


@pytest.fixture
def project(repository: Any) -> Any:
    repository.write(
        "trainci.toml",
        '[suites.short]\ntests = ["tests/test_a.py", "tests/test_b.py"]\n[suites.c]\nselect = "changed"\n',
    )
    repository.write("tests/test_a.py", RECORDS)
    repository.write("tests/test_b.py", FAILS)
    repository.write("push.json", '{"ref": "refs/heads/main", "before": "", "commits": []}')
    repository.init()
    return repository


def answer(name: str, said: Any) -> Any:
    """What a command said, which must be that answer and nothing else."""
    found = json.loads(said.out)
    schema = json.loads((DOCS / f"json/{name}.schema.json").read_text())
    jsonschema.validate(found, schema)
    assert not _unknown(found, schema, schema), "a field that its schema does not tell of"
    return found


def _unknown(found: Any, schema: Any, root: Any) -> list[str]:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(found, list):
        return [name for item in found for name in _unknown(item, schema.get("items", {}), root)]
    if not isinstance(found, dict) or "properties" not in schema:
        return []
    return [name for name in found if name not in schema["properties"]] + [
        inner
        for name, value in found.items()
        if name in schema["properties"]
        for inner in _unknown(value, schema["properties"][name], root)
    ]


@pytest.mark.parametrize("name", ANSWERS)
def test_the_committed_schema_is_that_of_the_type(name: str) -> None:
    committed = json.loads((DOCS / f"json/{name}.schema.json").read_text())
    assert committed == schema_of(ANSWERS[name]), "run `make schema`"
    jsonschema.Draft202012Validator.check_schema(committed)


def test_every_answer_is_on_the_page() -> None:
    rows = re.findall(
        r"`(trainci/[\w-]+/\d+)` \| \[[\w-]+\]\(json/([\w-]+)\.schema\.json\)", (DOCS / "json.md").read_text()
    )
    assert {name: schema for schema, name in rows} == {name: kind.SCHEMA for name, kind in ANSWERS.items()}


def test_list(project: Any) -> None:
    found = answer("list", project.trainci("list", "--json"))
    assert [(suite["name"], len(suite["tests"])) for suite in found["suites"]] == [("short", 2), ("c", 0)]
    assert found["suites"][0]["tests"][1]["num_gpus"] == 2


def test_a_dry_run(project: Any) -> None:
    found = answer("dry-run", project.trainci("run", "short", "--dry-run", "--json", "--devices", "cpu:1"))
    assert [bool(test["held_back"]) for test in found["tests"]] == [False, True]


def test_a_finished_run_is_all_of_standard_output(project: Any) -> None:
    said = project.trainci("run", "short", "--json", "--devices", "cpu:2")
    found = answer("run", said)
    assert said.code == found["exit_code"] == 1
    assert found["counts"] == {"passed": 1, "failed": 1}
    red = next(test for test in found["tests"] if test["outcome"] == "failed")
    assert red["reason"] == "AssertionError: no" and red["why"]["place"] == {"file": "tests/test_b.py", "line": 3}
    assert red["replay"] == "trainci run --id tests/test_b.py --devices cpu:2"
    assert "AssertionError: no" in said.err


def test_plan(project: Any) -> None:
    found = answer("plan", project.trainci("plan", "--event", "push.json", "--event-name", "push", "--json"))
    assert [(suite["suite"], suite["starts"]) for suite in found["suites"]] == [("short", False), ("c", False)]
    project.write("tests/test_a.py", RECORDS + "    pass\n")
    found = answer("plan", project.trainci("plan", "--changed", "--json"))
    assert [test["id"] for test in found["tests"]] == ["tests/test_a.py"]


def test_check(project: Any) -> None:
    project.write("tests/test_loose.py", PASSES)
    said = project.trainci("check", "--json")
    found = answer("check", said)
    assert said.code == 1 and [one["code"] for one in found["findings"]] == ["unregistered"]


def test_metrics_even_of_a_value_that_json_has_no_number_for(project: Any) -> None:
    assert project.trainci("run", "tests/test_a.py").code == 0
    found = answer("metrics", project.trainci("metrics", "tests/test_a.py", "--json"))
    assert [(metric["name"], metric["value"]) for metric in found["tests"][0]["metrics"]] == [("loss", "nan")]


@given(st.floats())
def test_any_number_comes_back(value: float) -> None:
    again = float(json.loads(json.dumps(number(value), allow_nan=False)))
    assert again == value or (again != again and value != value)


def test_explain(project: Any) -> None:
    project.write("a.log", "Traceback (most recent call last):\nAssertionError: no\n")
    found = answer("explain", project.trainci("explain", "--json", "a.log"))
    assert (found["log"], found["blame"], found["line"]) == ("a.log", "code", 2)
