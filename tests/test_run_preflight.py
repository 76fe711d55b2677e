"""One fault of the host is told once, before anything starts, and not by each test."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from terminal import Terminal

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


_MAIN = "if __name__ == '__main__':\n    print('ran')\n"


def test_what_needs_more_devices_than_there_are_is_a_line_that_ends_with_the_flag_to_add(repository: Any) -> None:
    for name, devices in (("a", 2), ("b", 2), ("c", 4)):
        repository.write(f"{name}.py", f"NUM_GPUS = {devices}\n{_MAIN}")
    repository.write("trainci.toml", '[suites.s]\ntests = ["a.py", "b.py", "c.py"]\n')
    said = repository.trainci("run", "s", environment={"CUDA_VISIBLE_DEVICES": ""})
    assert (said.code, said.err) == (3, "")
    ways = "Run it on a larger host, or on virtual devices"
    begin, _, lines = said.out.partition("machine's fault ")
    assert "machine" not in begin and "a.py" not in begin
    assert re.sub("in [0-9.]+ s", "in 0 s", lines).splitlines() == [
        f"a.py, b.py: needs 2 devices, and this host has no GPU. {ways}: --devices cpu:2",
        f"machine's fault c.py: needs 4 devices, and this host has no GPU. {ways}: --devices cpu:4",
        "3 machine's fault in 0 s · no GPU",
    ]


def test_the_flag_to_add_is_whole_on_a_narrow_terminal(repository: Any) -> None:
    repository.write("tests/test_with_a_rather_long_name.py", f"NUM_GPUS = 2\n{_MAIN}")
    repository.write("trainci.toml", '[suites.s]\ntests = ["tests/test_with_a_rather_long_name.py"]\n')
    command = [str(Path(sys.executable).with_name("trainci")), "run", "s"]
    with Terminal(command, {**os.environ, "CUDA_VISIBLE_DEVICES": ""}, repository.root, 80) as terminal:
        screen = terminal.wait_for("1 machine's fault in")
    assert "--devices cpu:2" in "".join(screen.split("\n")).replace("  ", " "), screen
    assert screen.count("needs 2 devices") == 1


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_a_report_takes_the_place_of_no_device_or_pipe_and_nothing_is_started(project: Any, name: str) -> None:
    project.write("trainci.toml", '[suites.s]\nnum_gpus = 0\ntests = ["a.py"]\n')
    os.mkfifo(project.root / "pipe")
    (project.root / "link").symlink_to("pipe")
    said = project.trainci("run", "s", "--devices", "cpu:1", "--junit", name)
    assert said.code == 2 and "ran" not in said.out, said
    assert (
        said.err
        == f"trainci: --junit {name}: what is there cannot be replaced: it is a device or a pipe, and no file.\n"
    )
    assert (project.root / "pipe").is_fifo() and (project.root / "link").is_symlink()


def test_a_report_takes_the_place_of_no_other_file(project: Any) -> None:
    project.write("trainci.toml", '[suites.s]\nnum_gpus = 0\ntests = ["a.py"]\n')
    before = (project.root / "a.py").read_text()
    said = project.trainci("run", "s", "--devices", "cpu:1", "--junit", "a.py")
    assert said.code == 2 and "ran" not in said.out, said
    assert said.err == "trainci: --junit a.py: what is there cannot be replaced: it is no report.\n"
    assert (project.root / "a.py").read_text() == before
    for earlier in ("", "<?xml version='1.0'?><testsuites/>", "\ufeff<testsuite/>", "\0\0"):
        project.write("j.xml", earlier)
        assert project.trainci("run", "s", "--devices", "cpu:1", "--junit", "j.xml").code == 0
        assert "tests=" in (project.root / "j.xml").read_text()


@pytest.mark.parametrize(("key", "in_job"), [("install", False), ("install", True), ("setup", False)])
def test_what_only_jobs_install_is_said_where_nothing_is_installed(project: Any, key: str, in_job: bool) -> None:
    line = "uv pip install own-kernels"
    value = f'["echo x", "{line}"]' if key == "setup" else f'"{line}"'
    project.write("trainci.toml", f'[suites.s]\nnum_gpus = 0\n{key} = {value}\ntests = ["a.py", "b.py"]\n')
    said = run(project, GITHUB_ACTIONS="true" if in_job else "")
    assert said.code == 0
    assert (f"{key}: jobs begin with `{line}`; here nothing is installed" in said.out + said.err) is not in_job
