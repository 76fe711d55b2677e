"""A suite with ``pack = true`` is one job, and each of its tests is seen there as if it had one of its own."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

_PASSES = "NUM_GPUS = 1\n\n\nif __name__ == '__main__':\n    print('it passes')\n"
_FAILS = "NUM_GPUS = 1\n\n\nif __name__ == '__main__':\n    assert 1 + 1 == 3, 'the sum is wrong'\n"
_CONFIG = """\
[suites.many]
pack = true
tests = ["tests/test_a.py", "tests/test_b.py", "tests/test_c.py", { path = "tests/test_d.py", disabled = "flaky" }]
"""


@pytest.fixture
def packed(repository: Any, tmp_path: Any) -> tuple[Any, str, Any]:
    """What the packed job of a run with one failing test said, its summary, and its JUnit report."""
    for name, text in {"a": _PASSES, "b": _FAILS, "c": _PASSES, "d": _PASSES}.items():
        repository.write(f"tests/test_{name}.py", text)
    repository.write("trainci.toml", _CONFIG)
    repository.init()
    summary, report = tmp_path / "summary.md", tmp_path / "junit.xml"
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    arguments = ["run", "many", "--devices", "cpu:2", "--junit", str(report)]
    said = repository.trainci(*arguments, environment=environment)
    return said, summary.read_text(), ElementTree.parse(report).getroot()


def test_one_failure_in_a_packed_job_is_red_and_the_others_still_run(packed: tuple[Any, str, Any]) -> None:
    said, _, report = packed
    assert said.code == 1
    assert "it passes" in said.out
    assert {
        case.get("name"): [one.tag for one in case if "system" not in one.tag] for case in report.iter("testcase")
    } == {
        "tests/test_a.py": [],
        "tests/test_b.py": ["failure"],
        "tests/test_c.py": [],
        "tests/test_d.py": ["skipped"],
    }


def test_each_test_of_a_packed_job_has_its_line_in_the_summary(packed: tuple[Any, str, Any]) -> None:
    _, summary, _ = packed
    table = [line.split("|") for line in summary.replace("&#95;", "_").splitlines() if "<code>tests/" in line]
    verdicts = {
        row[2].strip()[len("<code>tests/") : -len("</code>")]: row[1].split()[-1] for row in table if row[1:]
    }
    assert verdicts == {
        "test_a.py": "passed",
        "test_b.py": "failed",
        "test_c.py": "passed",
        "test_d.py": "skipped",
    }


def test_a_failure_in_a_packed_job_is_an_annotation_at_its_file(packed: tuple[Any, str, Any]) -> None:
    said, _, _ = packed
    (error,) = [line for line in said.out.splitlines() if line.startswith("::error")]
    assert "file=tests/test_b.py" in error
    assert "test_a.py" not in error and "test_c.py" not in error
