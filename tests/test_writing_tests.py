"""The repository that docs/writing_tests.md teaches is made from its blocks, and does what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[1] / "docs/writing_tests.md").read_text()
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def taught(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    trainer, test = blocks("python")
    (tmp_path / "train.py").write_text(trainer)
    (tmp_path / "tests/test_smoke.py").write_text(test)
    (tmp_path / "trainci.toml").write_text(blocks("toml")[0])
    return tmp_path


def run(command: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "TRAINCI_LOCK_DIR": str(root / "locks"), "HOME": str(root)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


def test_every_command_of_the_page_succeeds(taught: Path) -> None:
    commands = re.findall(r"^\$ (.+)$", "\n".join(blocks("console")), re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        done = run(shlex.split(command), taught)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_taught_test_catches_a_broken_trainer(taught: Path) -> None:
    trainer = taught / "train.py"
    trainer.write_text(trainer.read_text().replace("weight += velocity", "weight -= velocity"))
    done = run(["trainci", "run", "short", "--devices", "cpu:4"], taught)
    assert done.returncode == 1, done.stdout
    assert "the weight that was learned" in done.stdout
