"""`trainci --install-completion`: the shells complete commands, suites and tests, as somebody types."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from support import unavailable
from terminal import Terminal

SHELLS = {"bash": ["bash", "-i"], "zsh": ["zsh", "-i"], "fish": ["fish"]}


@pytest.fixture
def project(repository: Any) -> Any:
    repository.write("trainci.toml", '[project]\n[suites.checkpoints]\ntests = ["tests/test_ckpt.py"]\n')
    repository.write("tests/test_ckpt.py", "NUM_GPUS = 0\nif __name__ == '__main__':\n    print()\n")
    return repository


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def words(*words: str) -> dict[str, str]:
    return {"_TRAINCI_COMPLETE": "bash_complete", "COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (("trainci", "me"), ["metrics"]),
        (("trainci", "run", "check"), ["checkpoints"]),
        (("trainci", "run", "run-ci-"), ["run-ci-checkpoints"]),
        (("trainci", "run", "tests/"), ["tests/test_ckpt.py"]),
        (("trainci", "list", "tests/"), ["tests/test_ckpt.py"]),
        (("trainci", "run", "--last-f"), ["--last-failed"]),
        (("trainci", "run", "nothing"), []),
    ],
)
@pytest.mark.parametrize("directory", [".", "tests"])
def test_commands_options_suites_and_tests_are_offered(project, line, offered, directory):
    said = project.trainci(environment=words(*line), directory=directory)
    assert [line.partition(",")[2] for line in said.out.split()] == offered
    assert (said.code, said.err) == (0, "")


def test_where_there_is_no_repository_nothing_is_offered_and_nothing_said(repository):
    said = repository.trainci(environment=words("trainci", "run", "t"))
    assert (said.code, said.out.strip(), said.err) == (0, "", "")


@pytest.mark.parametrize("shell", ["tcsh", ""])
def test_another_shell_is_a_sentence_that_names_those_there_are(project, home, shell):
    said = project.trainci("--install-completion", shell, environment={"HOME": str(home), "SHELL": "/bin/sh"})
    assert said.code == 2
    assert "name one of bash, zsh, fish" in said.err


def test_to_install_twice_adds_one_line_and_keeps_what_is_there(project, home):
    (home / ".bashrc").write_text("alias x=y")
    for _ in range(2):
        assert project.trainci("--install-completion", "bash", environment={"HOME": str(home)}).code == 0
    lines = (home / ".bashrc").read_text().splitlines()
    assert lines[0] == "alias x=y"
    assert len(lines) == 2


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_what_is_typed(project, home, shell):
    if shutil.which(shell) is None:
        unavailable(f"{shell} is not installed (apt-get install {shell})")
    tools = str(Path(sys.executable).parent)
    environment = {"HOME": str(home), "PATH": f"{tools}:{os.environ['PATH']}", "SHELL": f"/usr/bin/{shell}"}
    installed = project.trainci("--install-completion", environment=environment)
    assert installed.code == 0, installed
    with Terminal(SHELLS[shell], environment, project.root) as terminal:
        terminal.type("echo rea''dy\n")
        terminal.wait_for("\nready")
        terminal.type("trainci run check\t")
        terminal.wait_for("trainci run checkpoints")
        terminal.type("\x15trainci list tests/\t")
        terminal.wait_for("trainci list tests/test_ckpt.py")
