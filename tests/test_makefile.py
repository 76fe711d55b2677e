"""`make` on a machine where something is missing ends with a clear sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path)} if path else None
    command = [shutil.which("make") or "make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def fake(directory: Path, name: str, script: str) -> Path:
    file = directory / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with a shell and nothing else that matters."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sh", "bash"):
        (directory / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    return directory


def test_everything_there_is_silent():
    done = make("prerequisites", f"PYTHON={sys.executable}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_python_is_a_clear_sentence(bare):
    done = make("prerequisites", path=bare)
    assert done.returncode != 0
    assert "make: python3 is missing. Install Python 3.10 or newer" in done.stdout


def test_a_python_that_is_too_old_is_a_clear_sentence(bare):
    old = fake(bare, "python-old", '[ "$1" = --version ] && echo "Python 3.8.1" && exit 0; exit 1')
    done = make("prerequisites", f"PYTHON={old}", path=bare)
    assert done.returncode != 0
    assert "make: Python 3.8.1 is too old; trainci needs Python 3.10 or newer" in done.stdout


def test_a_python_without_venv_is_a_clear_sentence(bare):
    crippled = fake(bare, "python-x", 'case "$2" in *ensurepip*) exit 1;; esac; exit 0')
    done = make("prerequisites", f"PYTHON={crippled}", path=bare)
    assert done.returncode != 0
    assert "cannot make virtual environments" in done.stdout
    assert "apt-get install python3-venv" in done.stdout


def test_a_missing_git_is_a_clear_sentence(bare):
    done = make("prerequisites", f"PYTHON={sys.executable}", path=bare)
    assert done.returncode != 0
    assert "make: git is missing. Install git." in done.stdout


def test_make_test_installs_githubs_own_parser():
    done = make("--dry-run", "--what-if=tests/github/workflows/node/package.json", "test")
    assert done.returncode == 0, done.stderr
    assert "npm ci" in done.stdout
    assert done.stdout.index("npm ci") < done.stdout.index("python -m pytest")


def test_an_environment_that_was_left_half_made_is_made_anew(tmp_path):
    """A ^C while pip itself is being installed leaves a Python without pip."""
    half = tmp_path / "venv/bin"
    half.mkdir(parents=True)
    fake(half, "python", "exit 1")
    whole = fake(tmp_path, "whole", "exit 0")
    maker = fake(tmp_path, "maker", f'[ "$2" != venv ] || cp {whole} {half}/python')
    done = make("install", f"VENV={half.parent}", f"PYTHON={maker}")
    assert done.returncode == 0, done.stderr
    assert (half.parent / "installed").exists()
