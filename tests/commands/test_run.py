"""`trainci run`: what its selectors may be, from wherever it is called."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest


@pytest.fixture
def project(repository: Any) -> Any:
    repository.write("trainci.toml", "[project]\n")
    repository.write("tests/test_a.py", "NUM_GPUS = 0\nif __name__ == '__main__':\n    print()\n")
    return repository


@pytest.mark.parametrize("directory", [".", "tests"])
def test_a_file_may_be_named_by_its_absolute_path(project, directory):
    said = project.trainci("run", str(project.root / "tests/test_a.py"), "--dry-run", directory=directory)
    assert (said.code, said.out.splitlines()[0]) == (0, "tests/test_a.py"), said


@pytest.mark.parametrize("directory", [".", "tests"])
@pytest.mark.parametrize("selector", ["a" * 5000, "", "a\0b", "/", "\udcff", "../../.."])
def test_a_selector_that_no_file_could_have_is_a_sentence(project, directory, selector):
    said = project.trainci("run", selector, "--dry-run", directory=directory)
    assert (said.code, said.out) == (2, "")
    assert " is no label, suite, test file, folder, test id or glob of a test" in said.err


@pytest.mark.parametrize(
    ("selector", "directory", "place", "add"),
    [
        ("lib/unit/test_u.py", ".", "lib/unit/test_u.py", "lib/unit/test_u.py"),
        ("lib/unit/test_u.py::test_x", ".", "lib/unit/test_u.py", "lib/unit/test_u.py"),
        ("unit/", "lib", "lib/unit", "lib/unit/**/test_*.py"),
    ],
)
def test_what_is_there_and_counts_as_no_test_is_told_so_with_the_line_to_add(
    project, selector, directory, place, add
):
    project.write("lib/unit/test_u.py", "def test_x():\n    pass\n")
    said = project.trainci("run", selector, directory=directory)
    assert said.code == 2
    assert said.err.startswith(f"trainci: {place} is there, and holds no test: it is none of tests/test_*.py, ")
    assert said.err.endswith(f'the `tests` of [project] in trainci.toml. Add "{add}" to them.\n')


_PROJECT = """[project]
tests = ["tests/**/test_*.py"]
[suites.short]
tests = ["tests/test_a.py"]
"""


def passes_or_fails(body: str) -> str:
    return f"NUM_GPUS = 0\nif __name__ == '__main__':\n    {body}\n"


@pytest.fixture
def suites(repository: Any) -> Any:
    """Two tests that pass and one that fails, in two folders and one suite."""
    repository.write("trainci.toml", _PROJECT)
    for name, body in (("test_a", "print()"), ("unit/test_b", "raise SystemExit(1)"), ("unit/test_c", "print()")):
        repository.write(f"tests/{name}.py", passes_or_fails(body))
    return repository


def planned(said: Any) -> list[str]:
    """The tests of a dry run."""
    return sorted(line for line in said.out.splitlines() if line.endswith(".py") and not line.startswith(" "))


@pytest.mark.parametrize(
    ("directory", "folder", "named"),
    [
        (".", "tests/unit", "bc"),
        (".", "tests/unit/", "bc"),
        (".", "tests", "abc"),
        (".", ".", "abc"),
        ("tests", "unit", "bc"),
        ("tests/unit", ".", "bc"),
        ("tests/unit", "..", "abc"),
        ("tests/unit", "short", "a"),
    ],
)
def test_a_folder_selects_the_tests_in_it(suites, directory, folder, named):
    said = suites.trainci("run", folder, "--dry-run", directory=directory)
    assert {path[-4] for path in planned(said)} == set(named), said


def test_k_narrows_what_is_named_and_else_everything(suites):
    only = ["tests/unit/test_b.py"]
    assert planned(suites.trainci("run", "-k", "unit and not c.py", "--dry-run")) == only
    assert planned(suites.trainci("run", "tests/unit", "-k", "test_a or test_b", "--dry-run")) == only
    said = suites.trainci("run", "short", "-k", "unit", "--dry-run")
    assert (said.code, said.err) == (2, "trainci: -k unit: no test that was named matches.\n")


def test_last_failed_runs_those_that_did_not_pass_last(suites):
    assert planned(suites.trainci("run", "--lf", "--dry-run")) == planned(
        suites.trainci("run", "tests", "--dry-run")
    )
    assert suites.trainci("run", "tests", "-q").code == 1
    assert planned(suites.trainci("run", "--last-failed", "--dry-run")) == ["tests/unit/test_b.py"]
    suites.write("tests/unit/test_b.py", passes_or_fails("print()"))
    assert suites.trainci("run", "--lf", "-q").code == 0
    nothing = suites.trainci("run", "tests", "--lf")
    assert (nothing.code, nothing.out) == (
        0,
        "Every test that was named passed when it ran last: nothing to run.\n",
    )


def test_last_failed_keeps_what_failed_and_was_not_reached_since(suites):
    """The loop of an engineer who mends one after another: `--lf -x`."""
    suites.write("tests/unit/test_c.py", passes_or_fails("raise SystemExit(1)"))
    red = ["tests/unit/test_b.py", "tests/unit/test_c.py"]
    assert suites.trainci("run", "tests", "-q").code == 1
    assert "1 skipped" in suites.trainci("run", "--lf", "-x", "-j", "1").out
    assert planned(suites.trainci("run", "--lf", "--dry-run")) == red
    suites.write("tests/unit/test_b.py", passes_or_fails("print()"))
    assert suites.trainci("run", "--lf", "-x", "-j", "1").code == 1
    assert planned(suites.trainci("run", "--lf", "--dry-run")) == red[1:]
    assert suites.trainci("list", "tests/unit/test_c.py").out.count(" failed ") == 1


def test_quiet_prints_what_did_not_pass_and_the_last_line(suites):
    said = suites.trainci("run", "tests", "--quiet")
    assert "test_b.py" in said.out
    assert "test_a.py" not in said.out
    assert "2 passed" in said.out.splitlines()[-1]
    assert "started, attempt" not in said.out


def test_j_bounds_how_many_tests_run_at_once(suites):
    """Each looks for a fellow that runs; two at once fail."""
    body = """import os, pathlib, time
    mine = pathlib.Path("running")
    mine.mkdir()
    time.sleep(0.2)
    mine.rmdir()"""
    for name in "abc":
        suites.write(f"tests/test_{name}.py", passes_or_fails(body))
    tests = [f"tests/test_{name}.py" for name in "abc"]
    assert suites.trainci("run", *tests, "-j", "1").code == 0


def test_run_with_nothing_offers_what_there_is(suites):
    said = suites.trainci("run")
    assert (said.code, said.out) == (2, "")
    assert "  trainci run short  label run-ci-short  1 test\n" in said.err


@pytest.mark.parametrize(
    ("option", "environment", "colored"),
    [
        ("auto", {}, False),
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_color_is_as_asked_for_and_as_the_environment_says(suites, option, environment, colored):
    said = suites.trainci("run", "tests/test_a.py", "--color", option, environment=environment)
    assert ("\033[32m[" in said.out) == colored


def test_from_a_subfolder_every_printed_path_leads_there(suites):
    said = suites.trainci("run", "unit/test_b.py", directory="tests")
    (log,) = re.findall(r"log: +(\S+)", said.out)
    assert log.startswith("../.trainci/runs/")
    assert (suites.root / "tests" / log).is_file()
    (replay,) = re.findall(r"replay: trainci (.*)", said.out)
    assert suites.trainci(*shlex.split(replay), directory="tests").code == 1
    assert " ../trainci.toml:4\n" in suites.trainci("list", directory="tests").out
    suites.write("tests/test_a.py", "NUM_GPUS = [\n")
    found = suites.trainci("check", directory="tests").out.splitlines()[0]
    assert found.startswith("test_a.py:1: "), found
    suites.write("trainci.toml", '[project]\nimagee = "../x//y"\n')
    said = suites.trainci("list", directory="tests")
    assert said.err.startswith("../trainci.toml:2: project"), said


def test_a_name_with_a_backslash_is_told_as_the_disk_has_it_or_as_the_list_shows_it(repository):
    """Its id has two, so that no name looks like another's line break."""
    repository.write("trainci.toml", '[suites.short]\ntests = ["tests/test_*.py"]\n')
    repository.write("tests/test_a\\new.py", "NUM_GPUS = 0\nif __name__ == '__main__':\n    raise SystemExit(1)\n")
    repository.write("tests/test_b.py", "NUM_GPUS = 0\nif __name__ == '__main__':\n    print('b')\n")
    own, shown = "tests/test_a\\new.py", "tests/test_a\\\\new.py"
    for words in (
        [own],
        [shown],
        ["--id", own],
        ["--id", shown],
        ["short", "-k", "a\\new"],
        ["tests", "-k", "a\\\\n"],
    ):
        said = repository.trainci("run", *words, "--dry-run")
        assert said.out.splitlines()[0] == shown and "1 test selected" in said.out, (words, said)
    assert repository.trainci("run", "--id", own, "--devices", "cpu:1").code == 1
    assert repository.trainci("list", own).out.count(shown) == 1
    for command in ("history", "metrics"):
        for name in (own, shown):
            said = repository.trainci(command, name)
            assert said.code == 0 and shown in said.out and "nothing is known" not in said.err, (
                command,
                name,
                said,
            )
