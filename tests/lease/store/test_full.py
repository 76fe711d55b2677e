"""A lock directory on a full file system is told in one line by every command."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system without room for a byte."""
    path = tmp_path / "full"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    with contextlib.suppress(OSError), (path / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("words", [["run", "short", "--devices", "cpu:1"], ["gpus"], ["lease", "--", "true"]])
def test_a_full_lock_directory_is_no_bug(repository: Any, full: Path, words: list[str]) -> None:
    repository.write("trainci.toml", '[suites.short]\ntests = ["tests/test_a.py"]\n')
    repository.write("tests/test_a.py", 'NUM_GPUS = 0\nif __name__ == "__main__":\n    print("ran")\n')
    said = repository.trainci(*words, environment={"TRAINCI_LOCK_DIR": str(full)})
    assert said.code == 3
    assert "the file system of the lock directory" in said.err and "is full" in said.err
    assert said.err.count("\n") == 1
