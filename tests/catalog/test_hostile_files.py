"""Test files that somebody else wrote: links out of the repository, sources that are too deep or too large."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

GREEN = "NUM_GPUS = 0\nif __name__ == '__main__':\n    open('ran', 'w')\n"
TOML = '[project]\ntests = ["tests/test_*.py", "deep/tests/test_*.py"]\n[suites.changed]\nselect = "changed"\n'


def _faulty(repository: Any, file: str, fault: str) -> None:
    """``file`` is neither read nor run, and each command says why."""
    repository.write("trainci.toml", TOML)
    repository.init()
    for command in ("run", "check"):
        said = repository.trainci(command, *((file,) if command == "run" else ()))
        assert said.code in (1, 2)
        assert f"{file}:1: {fault}" in said.out + said.err, said
        assert "Traceback" not in said.out + said.err
    assert not (repository.root / "ran").exists()


@pytest.mark.parametrize("link", ["tests/test_a.py", "tests", "deep"])
def test_a_test_that_a_link_brings_from_outside_is_neither_read_nor_run(
    repository: Any, tmp_path: Any, link: str
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text(GREEN)
    target = {"tests/test_a.py": "tests/test_a.py", "tests": "tests", "deep": "."}[link]
    (repository.root / link).parent.mkdir(exist_ok=True)
    (repository.root / link).symlink_to(tmp_path / target)
    file = "deep/tests/test_a.py" if link == "deep" else "tests/test_a.py"
    _faulty(repository, file, "cannot be read: a link that leads outside the repository")


def test_a_test_that_is_a_link_within_the_repository_runs(repository: Any, tmp_path: Any) -> None:
    repository.write("trainci.toml", TOML)
    repository.write("real.py", GREEN)
    (repository.root / "tests").mkdir()
    (repository.root / "tests/test_a.py").symlink_to("../real.py")
    said = repository.trainci("run", "tests/test_a.py", environment={"TRAINCI_LOCK_DIR": str(tmp_path / "lock")})
    assert said.code == 0, said
    assert (repository.root / "ran").exists()


def test_a_test_of_twenty_megabytes_is_not_read(repository: Any) -> None:
    repository.write("tests/test_a.py", GREEN + "x = 1\n" * 3_500_000)
    _faulty(repository, "tests/test_a.py", "cannot be read: larger than 512 KiB")


@pytest.mark.parametrize(
    "source",
    [
        "if __name__ == '__main__':\n    x" + ".a" * 6000 + "()\n",
        "x = " + "(" * 300 + "\n",
        "x = " + "-" * 100_000 + "1\n",
        "x = [" + "[" * 5000 + "\n",
        "\0\n",
    ],
)
def test_a_source_that_is_too_deep_is_refused_in_a_sentence(repository: Any, source: str) -> None:
    repository.write("tests/test_a.py", source)
    _faulty(repository, "tests/test_a.py", "does not parse: ")


def test_a_long_chain_of_attributes_is_no_fault(repository: Any) -> None:
    repository.write("trainci.toml", TOML)
    repository.write("tests/test_a.py", GREEN + "    x" + ".a" * 300 + "()\n")
    repository.init()
    said = repository.trainci("run", "tests/test_a.py", "--dry-run")
    assert said.code == 0, said


def test_a_pipe_in_the_place_of_a_test_is_told_and_not_waited_for(repository: Any) -> None:
    (repository.root / "tests").mkdir(exist_ok=True)
    os.mkfifo(repository.root / "tests/test_a.py")
    repository.write("trainci.toml", '[project]\n[suites.short]\ntests = ["tests/test_a.py"]\n')
    repository.init()
    said = repository.trainci("check")
    assert said.code in (1, 2) and "Traceback" not in said.err, said
    assert repository.trainci("run", "short").code in (1, 2)


def test_a_tree_that_is_deeper_than_a_path_can_be_costs_a_sentence(repository: Any) -> None:
    repository.write("trainci.toml", '[project]\ntests = ["tests/**/test_*.py"]\n[suites.short]\ntests = "all"\n')
    repository.init()
    before = Path.cwd()
    os.chdir(repository.root)
    for name in ("tests", *["d"] * 2500):
        Path(name).mkdir(exist_ok=True)
        os.chdir(name)
    os.chdir(before)
    for command in ("check", "list", "init"):
        said = repository.trainci(command)
        assert said.code in (0, 1, 2) and "Traceback" not in said.err, said.err
        assert all(len(line) < 1000 for line in said.err.splitlines())
    subprocess.run(["rm", "-rf", repository.root / "tests"], check=True)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("trainci.toml", "list"),
        (".github/workflows/pr-test.yml.j2", "generate"),
        (".github/workflows/pr-test.yml", "generate"),
    ],
)
@pytest.mark.parametrize("device", [False, True])
def test_a_pipe_or_device_in_the_place_of_what_is_read_keeps_nobody_waiting(
    repository: Any, name: str, command: str, device: bool
) -> None:
    repository.write("trainci.toml", "[project]\n")
    repository.write("tests/test_a.py", "def test_a(): pass\n")
    repository.write(".github/workflows/pr-test.yml.j2", "on: push\n")
    path = repository.root / name
    path.unlink(missing_ok=True)
    if not device:
        os.mkfifo(path)
    elif os.geteuid() == 0:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    else:
        path.symlink_to("/dev/zero")
    said = repository.trainci(command)
    assert said.code in (2, 3) and Path(name).name in said.err, said
    assert "Traceback" not in said.err and "bug" not in said.err, said.err


@pytest.mark.parametrize("name", ["tests/test_a.py", "tests/test_a.sh"])
def test_a_pointer_of_git_lfs_whose_content_was_not_fetched_says_so(repository: Any, name: str) -> None:
    repository.write(name, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    repository.write("trainci.toml", f"[suites.s]\ntests = ['{name}']\n")
    said = repository.trainci("run", "s", "--devices", "cpu:1")
    assert said.code == 2 and f"{name}:1: cannot be read: a pointer of Git LFS" in said.out + said.err, said
