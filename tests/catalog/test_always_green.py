"""A command or a variable by which every test is green is known by its words, and a sound one is left alone."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.catalog.always_green import always_green, hidden_by

NOTHING = [
    *(f"pytest tests --{name}" for name in ("setup-plan", "setup-only", "collect-only", "co", "fixtures", "help")),
    *(f"pytest tests --{name}" for name in ("fixtures-per-test", "version", "markers", "cache-show", "funcargs")),
    *(f"pytest tests {name}" for name in ("-h", "-qh", "-V", "--cache-show=x*")),
    "pytest -o addopts=--setup-plan",
    "pytest --override-ini=addopts='-q --co'",
    "python -m pytest --setup-plan a",
    "timeout -k 5 60 env A=1 uv run --extra x python3.11 -X dev -m pytest --co",
    "coverage run -m pytest --co",
    "python -O train.py",
    "python -uO train.py",
    "python -OO -m pytest",
    "python -i train.py",
    "python -V train.py",
    "/usr/bin/python3 --help train.py",
    "python -m cProfile train.py",
    "python -X dev -m trace --count train.py",
    "python -m py_compile train.py",
    "bash -n run.sh",
    "sh -en run.sh",
    "make -i test",
    "make test -kn",
    "make --dry-run test",
    "make -C sub --ignore-errors test",
    "make -t",
    "make -q",
]
SOUND = [
    "pytest tests",
    "pytest -k 'not --help' --setup-show --cache-clear -x -vvs",
    "pytest -- --co",
    "pytest -c other.ini -o log_cli=true",
    "python train.py -i -O -V --help",
    "python -m train -O",
    "python -c 'import x' -i",
    "python -W ignore -X importtime train.py",
    "python -B -u -s -E train.py",
    "make -k -j 4 -C in test",
    "make -f nit.mk test",
    "make INTENT=-i test",
    "bash -e run.sh -n",
    "bash -c 'pytest a' -n",
    "train --co",
    "",
]


@pytest.mark.parametrize("command", NOTHING)
def test_a_command_that_is_green_whatever_fails_is_known(command: str) -> None:
    assert always_green(shlex.split(command))


@pytest.mark.parametrize("command", SOUND)
def test_a_command_that_tells_of_failures_is_left_alone(command: str) -> None:
    assert always_green(shlex.split(command)) == ""


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "pytest", "--setup-plan", "test_x.py"],
        ["-m", "pytest", "-o", "addopts=--co", "test_x.py"],
        ["-O", "program.py"],
        ["-i", "program.py"],
        ["-m", "cProfile", "exits.py"],
        ["-m", "trace", "-l", "exits.py"],
        ["-m", "py_compile", "program.py"],
    ],
)
def test_such_a_command_is_green_over_a_failure(words: list[str], tmp_path: Path) -> None:
    """That these are faults is no opinion: Python itself exits with 0."""
    (tmp_path / "test_x.py").write_text("def test_x():\n    assert False\n")
    (tmp_path / "program.py").write_text("assert False\n")
    (tmp_path / "exits.py").write_text("import sys\nsys.exit(1)\n")
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0
    assert always_green(["python", *words])


@pytest.mark.parametrize(
    ("name", "value", "hides"),
    [
        ("PYTHONOPTIMIZE", "1", True),
        ("PYTHONOPTIMIZE", "", False),
        ("PYTHONINSPECT", "x", True),
        ("PYTEST_ADDOPTS", "-q --setup-plan", True),
        ("PYTEST_ADDOPTS", "-q -x", False),
        ("PYTEST_ADDOPTS", "-k 'a", False),
        ("MAKEFLAGS", "i", True),
        ("MAKEFLAGS", "kn -j4", True),
        ("MAKEFLAGS", "--dry-run", True),
        ("MAKEFLAGS", " -j4 --jobserver-auth=3,4", False),
        ("MAKEFLAGS", "", False),
        ("MAKEFLAGS", "INTENT=1", False),
        ("OTHER", "--setup-plan", False),
    ],
)
def test_a_variable_that_hides_failures_is_known(name: str, value: str, hides: bool) -> None:
    assert bool(hidden_by(name, value)) is hides


@given(
    st.lists(
        st.sampled_from(["python", "pytest", "make", "-m", "-c", "-iO", "-", "--", "-n", "env", "A=1", "uv", "run"])
    )
)
def test_any_words_are_read(words: list[str]) -> None:
    always_green(words)
    hidden_by("MAKEFLAGS", " ".join(words))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('{ path = "test_a.py", args = ["--setup-plan"] }', "test_a.py:1: `pytest --setup-plan` runs no test"),
        ('{ name = "a", command = ["make", "-i"] }', "`make -i` ignores every error, so a failure is green"),
        ('{ name = "a", command = ["python", "-O", "x.py"] }', "`python -O` leaves every `assert` out"),
        ('{ module = "pytest", args = ["--version"] }', "`pytest --version` runs no test"),
        ('{ module = "cProfile", args = ["x.py"] }', "-m cProfile` drops the exit code of what it runs"),
        ('{ name = "a", command = ["echo", "pytest"] }', "nothing would run: `echo` succeeds always"),
    ],
)
def test_such_a_test_is_refused_and_reported(repository: Any, entry: str, says: str) -> None:
    repository.write("trainci.toml", f"[suites.s]\nnum_gpus = 0\ntests = [{entry}]\n")
    repository.write("test_a.py", "def test_a(): assert 0")
    assert says in repository.trainci("check").out
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    said = repository.trainci("run", "s", "--devices", "cpu:1", environment=locks)
    assert said.code == 2 and says in said.out, said


@pytest.mark.parametrize("level", ["project", "suites.s", "entry"])
@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            'env = { PYTHONOPTIMIZE = "1" }',
            "env: PYTHONOPTIMIZE leaves every `assert` out, so a failure would be green",
        ),
        ('env = { PYTEST_ADDOPTS = "--co" }', "env: PYTEST_ADDOPTS says --co, by which no test runs"),
        ('python = "uv run python -i"', "python: `python -i` ends with 0 after a failure"),
        ('python = "env true"', "python: env runs nothing and succeeds always"),
    ],
)
def test_such_a_setting_is_refused_with_its_line(repository: Any, level: str, line: str, says: str) -> None:
    entry = f", {line}" if level == "entry" else ""
    table = f"[{level}]\n{line}\n" if level != "entry" else ""
    suite = "" if level == "suites.s" else "[suites.s]\n"
    repository.write("trainci.toml", f'{table}{suite}tests = [{{ path = "test_a.py"{entry} }}]\n')
    said = repository.trainci("run", "s")
    assert said.code == 2 and says in said.err and "trainci.toml:2: " in said.err, said


def test_what_hides_failures_is_not_passed_on_from_the_environment(
    repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("trainci.toml", '[suites.s]\nnum_gpus = 0\ntests = ["a.py", "b.sh"]\n')
    repository.write("a.py", 'def main():\n    assert False\n\nif __name__ == "__main__":\n    main()\n')
    repository.write("b.sh", "set -e\nmake\n")
    repository.write("Makefile", "all:\n\tfalse\n")
    for name, value in (("PYTHONOPTIMIZE", "1"), ("MAKEFLAGS", "i")):
        monkeypatch.setenv(name, value)
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks"), "PATH": os.environ["PATH"]}
    said = repository.trainci("run", "s", "--devices", "cpu:1", environment=locks)
    assert "2 failed" in said.out, said.out
