"""The checkout's disk fills in the middle of a run: what a test said stands, and the rest is told once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Repository


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


FILLS = "import sys\nfor n in range(40_000): print('line', n, 'of far more than the disk has room for')\n"


@pytest.fixture
def run(small_disk: Path, tmp_path: Path) -> Any:
    repository = Repository(small_disk)
    tests = [
        '"loud.py"',
        '"late.sh"',
        '{ path = "test_loud.py", args = ["-s"] }',
        '"bad.py"',
    ]
    repository.write("trainci.toml", f"[suites.s]\nnum_gpus = 0\ntests = [{', '.join(tests)}]\n")
    repository.write("loud.py", f"if __name__ == '__main__':\n    exec({FILLS!r})\n")
    repository.write("late.sh", "sleep 1\necho fine\n")
    repository.write("test_loud.py", f"def test_a(): exec({FILLS!r})\n")
    repository.write("bad.py", f"if __name__ == '__main__':\n    exec({FILLS!r})\n    assert False\n")
    locks = {"TRAINCI_LOCK_DIR": str(tmp_path / "locks"), "PYTHONDONTWRITEBYTECODE": "1"}
    junit = str(tmp_path / "j.xml")
    return repository.trainci("run", "s", "--devices", "cpu:1", "--jobs", "1", "--junit", junit, environment=locks)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_disk_that_fills_ends_no_sound_test(run: Any) -> None:
    assert "passed loud.py" in run.out and "passed late.sh" in run.out, run.out[-3000:]
    assert run.out.count("loud.py | trainci: the log ends here (No space left on device); the test goes on") >= 1
    assert "passed bad.py" not in run.out and run.code in (1, 3), run.out[-3000:]
    # Results that there was no room for are no test's fault.
    assert "machine's fault test_loud.py" in run.out, run.out[-3000:]
    assert "Traceback" not in run.err, run.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_disk_that_is_full_from_the_begin_makes_no_sound_test_red(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.write("trainci.toml", "[project]\n")
    repository.write("tests/test_a.py", "def test_a(): pass\n")
    repository.write(".trainci/keep", "")
    state = repository.root / ".trainci"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", state], capture_output=True)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        locks = {"TRAINCI_LOCK_DIR": str(tmp_path / "locks")}
        ran = repository.trainci("run", "tests/test_a.py", "--devices", "cpu:1", environment=locks)
    finally:
        subprocess.run(["umount", "-l", state], check=True)
    assert "machine's fault tests/test_a.py: neither its log nor its results could be written" in ran.out, ran.out
    assert ran.code == 3
