"""A goal of a Makefile whose failing tests are green is found, and a sound one is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.catalog.shell.makefile import in_makefile
from trainci.catalog.shell.recipes import of_functions, of_just, of_tox

CERTAIN = {
    "ignored": "a:\n\t-python bad.py\n",
    "ignored in silence": "a:\n\t@-python bad.py\n",
    "ignored, with a space": "a:\n\t- python bad.py\n",
    "through what it needs": "a: b\n\techo done\nb:\n\t-python bad.py\n",
    "a pipe": "a:\n\tpython bad.py | tee log\n",
    "or true": "a:\n\tpython bad.py || true\n",
    "on one line": "a:\n\tpython bad.py; echo done\n",
    "on two lines": "a:\n\tpython bad.py; \\\n\techo done\n",
    "behind the target": "a: ; -python bad.py\n",
    "all ignored": ".IGNORE:\na:\n\tpython bad.py\n",
    "this one ignored": ".IGNORE: a\na:\n\tpython bad.py\n",
    "in one shell": ".ONESHELL:\na:\n\tpython bad.py\n\techo done\n",
    "of two targets": "x a:\n\t-python bad.py\n",
}
SOUND = {
    "plain": "a:\n\tpython bad.py\n",
    "in silence": "a:\n\t@python bad.py\n",
    "another goal": "a:\n\tpython bad.py\nb:\n\t-python bad.py\n",
    "a cleaning up": "a:\n\t-rm -rf build\n\tpython bad.py\n",
    "several lines": "a:\n\techo begin\n\tpython bad.py\n\techo done\n",
    "variables": "X := 1\nY ?= -a\na: export Z = 1\na:\n\tpython bad.py $(X) $$HOME\n",
    "a pipe that is asked": "SHELL = /bin/bash\n.SHELLFLAGS = -o pipefail -c\na:\n\tpython bad.py | tee log\n",
    "in one strict shell": ".ONESHELL:\n.SHELLFLAGS := -euc\na:\n\t@python bad.py\n\techo done\n",
    "another ignored": ".IGNORE: b\na:\n\tpython bad.py\n",
}


def _make(tmp_path: Path, text: str) -> int:
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    (tmp_path / "Makefile").write_text(text)
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run(["make", "a"], cwd=tmp_path, capture_output=True, env=environment).returncode


@pytest.mark.parametrize("name", CERTAIN)
def test_a_goal_that_is_green_over_a_failure_is_found(name: str, tmp_path: Path) -> None:
    assert [one.certain for one in in_makefile(CERTAIN[name], ["a"]).lost] == [True]
    assert _make(tmp_path, CERTAIN[name]) == 0


@pytest.mark.parametrize("name", SOUND)
def test_a_goal_that_is_red_over_a_failure_is_left_alone(name: str, tmp_path: Path) -> None:
    assert in_makefile(SOUND[name], ["a"]).lost == ()
    assert _make(tmp_path, SOUND[name]) != 0


def test_without_a_goal_the_first_target_is_meant() -> None:
    assert in_makefile(".PHONY: b\na:\n\t-pytest\nb:\n\tpytest\n", []).lost != ()
    assert in_makefile(".PHONY: b\nb:\n\tpytest\na:\n\t-pytest\n", []).lost == ()


@given(st.text("ab:=;#\t\n\\-@ .$|", max_size=100))
def test_any_text_is_read(text: str) -> None:
    in_makefile(text, ["a"])


def test_a_goal_of_which_there_is_a_folder_runs_nothing(repository: Any) -> None:
    repository.write(
        "trainci.toml", '[suites.s]\nnum_gpus = 0\ntests = [{ name = "m", command = ["make", "a"] }]\n'
    )
    repository.write("a/x", "")
    said = "trainci.toml:3: Makefile:2: `make a` runs nothing, as there is a file or folder `a`"
    for text, expected in (("a:\n\tpython bad.py\n", True), (".PHONY: a\na:\n\tpython bad.py\n", False)):
        repository.write("Makefile", text)
        assert (said in repository.trainci("check").out) is expected
        assert (_make(repository.root, text) == 0) is expected


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ('["make", "a"]', "Makefile:2"),
        ('["make", "-C", "sub", "X=1", "a"]', "sub/Makefile:2"),
        ('["make", "-f", "sub/Makefile", "a"]', "sub/Makefile:2"),
    ],
)
def test_such_a_test_is_refused_with_its_place(repository: Any, words: str, place: str) -> None:
    repository.write("trainci.toml", f'[suites.s]\nnum_gpus = 0\ntests = [{{ name = "m", command = {words} }}]\n')
    repository.write("Makefile", CERTAIN["ignored"])
    repository.write("sub/Makefile", CERTAIN["ignored"])
    sentence = f"{place}: the failure of this line is ignored"
    assert f"trainci.toml:3: {sentence}" in repository.trainci("check").out
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    ran = repository.trainci("run", "s", "--devices", "cpu:1", environment=locks)
    assert ran.code == 2 and sentence in ran.out


def test_what_a_command_perhaps_loses_is_told_at_its_entry(repository: Any) -> None:
    words = '["bash", "-c", "python a.py; python b.py"]'
    repository.write("trainci.toml", f'[suites.s]\nnum_gpus = 0\ntests = [{{ name = "m", command = {words} }}]\n')
    assert "trainci.toml:3: perhaps the script goes on after this command fails" in repository.trainci("check").out


JUSTFILE = """set shell := ["bash", "-c"]
x := "1"
a: b
    @echo done
b arg="1" *rest:
    -python bad.py {{arg}}
good: (c "1")
    -rm -f x
c n:
    python bad.py
"""
TOX = """[tox]
envlist = a
[testenv]
deps =
    pytest
commands =
    pytest tests
[testenv:a]
commands =
    - python bad.py \\
        --fast
[testenv:b]
ignore_outcome = true
commands = python bad.py
[testenv:good]
commands_pre = - python prepare.py
commands =
    - rm x
    # - python bad.py
    python bad.py
[other]
commands = - python bad.py
"""
NOXFILE = """import nox
@nox.session
def a(session):
    session.run("python", "bad.py", success_codes=[0, 1])
@nox.session(python=["3.11"])
def good(session):
    session.run("python", "bad.py", success_codes=[0])
def helper(session):
    session.run("python", "bad.py", success_codes=[0, 1])
"""
TASKS = """from invoke import task
@task
def run_a(c):
    c.run("python bad.py", warn=True)
@task
def good(c):
    done = c.run("python bad.py", warn=True)
    if done.failed:
        raise SystemExit(1)
"""


@pytest.mark.parametrize(
    ("as_make", "text", "goal", "line"),
    [
        (of_just, JUSTFILE, "a", 6),
        (of_just, JUSTFILE, "good", 0),
        (of_tox, TOX, "a", 10),
        (of_tox, TOX, "b", 14),
        (of_tox, TOX, "good", 0),
        (of_tox, TOX, "testenv", 0),
        (of_functions, NOXFILE, "a", 4),
        (of_functions, NOXFILE, "good", 0),
        (of_functions, TASKS, "run-a", 4),
        (of_functions, TASKS, "good", 0),
    ],
)
def test_what_other_task_runners_ignore_is_found(as_make: Any, text: str, goal: str, line: int) -> None:
    lost = in_makefile(as_make(text), [goal]).lost
    assert [(one.line, one.certain) for one in lost] == ([(line, True)] if line else [])


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("justfile", JUSTFILE, "just a"),
        ("tox.ini", TOX, "tox -q -e a"),
        ("noxfile.py", NOXFILE, "nox -s a"),
        ("tasks.py", TASKS, "invoke run-a"),
    ],
)
def test_a_script_that_starts_such_a_recipe_is_refused(name: str, text: str, command: str, repository: Any) -> None:
    repository.write("trainci.toml", '[suites.s]\nnum_gpus = 0\ntests = ["tests/t.sh"]\n')
    repository.write("tests/t.sh", f"{command}\n")
    repository.write(name, text)
    said = repository.trainci("run", "s", "--devices", "cpu:1")
    assert said.code == 2 and "the failure of this line is ignored" in said.out, said.out


@given(st.text("[]:= \t\n-testenvcomad{}", max_size=80))
def test_any_text_of_another_task_runner_is_read(text: str) -> None:
    for as_make in (of_just, of_tox):
        in_makefile(as_make(text), ["a"])
