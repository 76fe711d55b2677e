"""The documented limits of GitHub: what is beyond them starts no run there, and nobody is told.

https://docs.github.com/actions/reference/limits: 500 KB (512,000 bytes) a workflow file, 256 jobs a matrix.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from trainci.github.workflows import matrix, render
from trainci.github.workflows.matrix import LARGEST_MATRIX
from trainci.model.project import Suite
from trainci.model.selection import Selected, Selection
from trainci.model.tests import Test

_TEMPLATE = ".github/workflows/pr-test.yml.j2"
_OTHER = ".github/workflows/pr-test-more.yml.j2"
_EXTENDS = '<% extends "trainci/pr-test.yml.j2" %>\n'


def _with_suites(repository: Any, number: int, tests: int = 1) -> None:
    repository.write("tests/test_a.py", "NUM_GPUS = 0\n\n\nif __name__ == '__main__':\n    print(1)\n")
    entries = ", ".join(f'{{ path = "tests/test_a.py", args = ["{one}"] }}' for one in range(tests))
    suites = "".join(f"[suites.suite-{one}]\ntests = [{entries}]\n" for one in range(number))
    repository.write("trainci.toml", suites)


def _jobs(repository: Any, template: str) -> set[str]:
    text = (repository.root / template.removesuffix(".j2")).read_text()
    assert len(text.encode()) <= render.LARGEST_FILE
    return {name for name in yaml.safe_load(text)["jobs"] if re.fullmatch(r"e2e-test-suite-\d+", name)}


@pytest.mark.slow
def test_a_workflow_beyond_githubs_size_is_refused_with_the_way_to_two_which_works(repository: Any) -> None:
    _with_suites(repository, 130)
    repository.write(_TEMPLATE, _EXTENDS)
    said = repository.trainci("generate")
    assert said.code == 2
    assert re.search(
        r"pr-test\.yml\.j2:1: gives [\d,]+ bytes, and GitHub starts no run .* beyond 512,000", said.err
    )
    assert not (repository.root / ".github/workflows/pr-test.yml").exists()
    here, there = re.findall(r"`(<% set jobs = .*? %>)`", said.err)
    repository.write(_TEMPLATE, f"{here}\n{_EXTENDS}")
    repository.write(_OTHER, f"{there}\n{_EXTENDS}")
    assert repository.trainci("generate").code == 0
    assert _concurrency(repository, _TEMPLATE) != _concurrency(repository, _OTHER)
    first, second = _jobs(repository, _TEMPLATE), _jobs(repository, _OTHER)
    assert (len(first), len(second), len(first | second)) == (65, 65, 130)


def _concurrency(repository: Any, template: str) -> str:
    """The group of a pull request's runs, of which the newer one cancels the other."""
    workflow = yaml.safe_load((repository.root / template.removesuffix(".j2")).read_text())
    return str(workflow["concurrency"]["group"].replace("${{ github.workflow }}", workflow["name"]))


def test_init_parts_what_is_too_large_for_one_workflow_into_several(
    repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_suites(repository, 6)
    monkeypatch.setattr(render, "LARGEST_FILE", 20_000)
    said = repository.trainci("init", "--only", "workflow")
    folder = repository.root / ".github/workflows"
    templates = sorted(f".github/workflows/{path.name}" for path in folder.glob("*.j2"))
    assert said.code == 0 and len(templates) > 1, said
    jobs = [name for template in templates for name in _jobs(repository, template)]
    assert sorted(jobs) == [f"e2e-test-suite-{one}" for one in range(6)]
    # Of one name, one would cancel the other on every push.
    assert len({_concurrency(repository, template) for template in templates}) == len(templates)
    assert repository.trainci("generate", "--check").code == 0


def test_a_suite_that_no_workflow_can_hold_is_named(repository: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_suites(repository, 2)
    monkeypatch.setattr(render, "LARGEST_FILE", 5_000)
    said = repository.trainci("init", "--only", "workflow")
    assert said.code == 2 and "[suites.suite-0] gives more than 5,000 bytes" in said.err, said
    assert not (repository.root / ".github").exists()


@pytest.mark.slow
def test_many_suites_are_parted_into_as_many_templates_as_it_takes(repository: Any) -> None:
    _with_suites(repository, 260)
    repository.write(_TEMPLATE, _EXTENDS)
    said = repository.trainci("generate")
    parts = re.findall(r"`(<% set jobs = .*? %>)`", said.err)
    assert (said.code, len(parts) > 2) == (2, True)
    templates = [_TEMPLATE, *(f".github/workflows/part-{number}.yml.j2" for number in range(1, len(parts)))]
    for template, part in zip(templates, parts, strict=True):
        repository.write(template, f"{part}\n{_EXTENDS}")
    assert repository.trainci("generate").code == 0
    assert len(set().union(*(_jobs(repository, template) for template in templates))) == 260


@pytest.mark.slow
def test_a_workflow_that_is_too_large_by_the_jobs_of_a_suite_says_how_many_it_has(repository: Any) -> None:
    """Each job names what it tests, so a few suites of many long entries are as large as many suites."""
    _with_suites(repository, 60, tests=40)
    repository.write(_TEMPLATE, _EXTENDS)
    said = repository.trainci("generate")
    assert said.code == 2
    assert "[suites.suite-0] has 40 jobs" in said.err
    config = (repository.root / "trainci.toml").read_text()
    repository.write("trainci.toml", config.replace("tests =", "jobs = 8\ntests ="))
    assert repository.trainci("generate").code == 0


def test_more_tests_than_a_matrix_may_have_share_its_jobs(repository: Any) -> None:
    _with_suites(repository, 1, tests=300)
    repository.write(_TEMPLATE, _EXTENDS)
    assert repository.trainci("generate").code == 0
    workflow = yaml.safe_load((repository.root / ".github/workflows/pr-test.yml").read_text())
    rows = workflow["jobs"]["e2e-test-suite-0"]["strategy"]["matrix"]["include"]
    assert len(rows) <= LARGEST_MATRIX
    assert sum(len(row["test_id"].splitlines()) for row in rows) == 300


def test_jobs_are_spread_by_the_time_that_a_test_registers_and_else_by_its_limit() -> None:
    tests = [Test(name, name, timeout=100, expected=seconds) for name, seconds in (("a", 90), ("b", 40), ("c", 50))]
    selection = Selection(tuple(Selected(test, "") for test in tests))
    suite = Suite("s", "l", shards=2)
    rows = [set(row["test_id"].split()) for row in matrix.entries(selection, 0, suite)]
    assert rows == [{"a"}, {"b", "c"}]
    # What was measured comes before what somebody thought.
    rows = [set(row["test_id"].split()) for row in matrix.entries(selection, 0, suite, {"b": 300.0})]
    assert rows == [{"b"}, {"a", "c"}]
