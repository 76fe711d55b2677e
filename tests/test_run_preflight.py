"""One fault of the host is told once, before anything starts, and not by each test."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import Any

import pytest

from trainci.paths import StatePaths


@pytest.fixture
def project(repository: Any) -> Any:
    for name in ("a.py", "b.py"):
        repository.write(name, "def main():\n    print('ran')\n\nif __name__ == '__main__':\n    main()\n")
    repository.write("c.sh", "echo ran\n")
    return repository


def run(repository: Any, **environment: str) -> Any:
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks"), **environment}
    return repository.trainci("run", "s", "--devices", "cpu:2", environment=locks)


@pytest.mark.parametrize("python", ["gone/bin/python", "/gone/bin/python", "gone-launcher run python", "c.sh"])
def test_an_interpreter_that_is_not_there_is_told_once(project: Any, python: str) -> None:
    project.write(
        "trainci.toml", f'[suites.s]\nnum_gpus = 0\npython = "{python}"\ntests = ["a.py", "b.py", "c.sh"]\n'
    )
    said = run(project)
    assert said.code == 2
    assert f"python: {python.split()[0]} is not there, and 2 tests would run on it." in said.err, said
    assert "ran" not in said.out and not (project.root / ".trainci").exists()


def test_a_step_that_makes_the_environment_may_come_first(project: Any) -> None:
    steps = '{ command = ["cp", "-r", "made", "env"] }, "a.py"'
    project.write("made/bin/python", '#!/bin/sh\nexec python3 "$@"\n').chmod(0o755)
    entry = f'{{ name = "x", steps = [{steps}], python = "env/bin/python" }}'
    project.write("trainci.toml", f"[suites.s]\nnum_gpus = 0\ntests = [{entry}]\n")
    assert run(project).code == 0


def test_logs_that_have_no_place_at_all_are_told_once(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    project.write("trainci.toml", '[suites.s]\nnum_gpus = 0\ntests = ["a.py", "b.py"]\n')
    monkeypatch.setattr(StatePaths, "create", full)
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    said = run(project)
    assert said.code == 3 and "ran" not in said.out
    assert said.err.startswith("trainci: the logs have no place: .trainci cannot be written (No space left"), said
