"""`trainci --install-completion`: the shells complete commands, suites and tests, as somebody types."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import unavailable
from terminal import Terminal

# As a pull request may call a file.
HOSTILE = "tests/test_h$(touch PWNED);`touch PWNED` a:b,c'd.py"
SHELLS = {"bash": ["bash", "-i"], "zsh": ["zsh", "-i"], "fish": ["fish"]}


@pytest.fixture
def project(repository: Any) -> Any:
    repository.write("trainci.toml", '[project]\n[suites.checkpoints]\ntests = ["tests/test_ckpt.py"]\n')
    repository.write("tests/test_ckpt.py", "NUM_GPUS = 0\nif __name__ == '__main__':\n    print()\n")
    return repository


@pytest.fixture
def home(tmp_path: Path) -> Path:
    # A fish that has none of these begins to make them of every manual page of the host.
    (tmp_path / "home/.local/share/fish/generated_completions").mkdir(parents=True)
    return tmp_path / "home"


def asked(line: str, **more: str) -> dict[str, str]:
    return {"_TRAINCI_COMPLETE": "1", "COMP_LINE": line, **more}


def offered(said: Any) -> list[str]:
    assert (said.code, said.err) == (0, "")
    return [line.partition("\t")[0] for line in said.out.splitlines()]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trainci me", ["metrics"]),
        ("trainci --ver", ["--version"]),
        ("trainci --install-completion f", ["fish"]),
        ("trainci run check", ["checkpoints"]),
        ("trainci run run-ci-", ["run-ci-checkpoints"]),
        ("trainci run tests/", ["tests/test_ckpt.py"]),
        ("trainci run 'tests/", ["tests/test_ckpt.py"]),
        ('trainci run -q "tests/', ["tests/test_ckpt.py"]),
        ("trainci list tests/", ["tests/test_ckpt.py"]),
        ("trainci run --last-f", ["--last-failed"]),
        ("trainci run --executor l", ["local"]),
        ("trainci run --executor=l", ["--executor=local"]),
        ("trainci baseline acc", ["accept"]),
        ("trainci lease --cou", ["--count"]),
        ("trainci run nothing", []),
    ],
)
@pytest.mark.parametrize("directory", [".", "tests"])
def test_commands_options_suites_and_tests_are_offered(project, line, words, directory):
    assert offered(project.trainci(environment=asked(line), directory=directory)) == words


def test_a_file_is_offered_as_it_is_called_from_where_one_stands(project):
    assert offered(project.trainci(environment=asked("trainci run test_c"), directory="tests")) == ["test_ckpt.py"]
    assert offered(project.trainci(environment=asked("trainci run test_c"))) == []


def test_where_a_file_is_wanted_the_shell_is_asked_for_it(project):
    for line in ("trainci run --junit ", "trainci lease --count 1 -- ./tr"):
        assert project.trainci(environment=asked(line)).out == "\tfiles\n"


@pytest.mark.parametrize(
    ("word", "left"), [("on", "on.py"), ("", "on.py"), ("tests/test_col:on", "tests/test_col:on.py")]
)
def test_bash_is_given_what_follows_the_colon_that_it_ends_words_at(project, word, left):
    project.write("tests/test_col:on.py", (project.root / "tests/test_ckpt.py").read_text())
    line = f"trainci run tests/test_col:{word.rpartition(':')[2]}"
    assert offered(project.trainci(environment=asked(line, COMP_WORD=word))) == [left]


def test_no_command_is_loaded_to_complete_its_name(project):
    code = "import sys; from trainci.cli import main; main([], sys.stdout, sys.stderr); print(sorted(sys.modules))"
    environment = {**os.environ, **asked("trainci ")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=project.root, capture_output=True, text=True
    )
    assert "'click'" in done.stdout
    assert "pydantic" not in done.stdout and "trainci.commands.run'" not in done.stdout


@pytest.mark.parametrize("toml", [None, "[[[", '[suites.a]\ntests = "'])
def test_where_there_is_no_repository_or_a_broken_one_nothing_is_offered_and_nothing_said(repository, toml):
    if toml is not None:
        repository.write("trainci.toml", toml)
    assert offered(repository.trainci(environment=asked("trainci run t"))) == []


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
    project.write(HOSTILE, (project.root / "tests/test_ckpt.py").read_text())
    project.write("broken/trainci.toml", "[[[")
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
        terminal.type("\x15trainci list tests/test_c\t")
        terminal.wait_for("trainci list tests/test_ckpt.py")
        # What is inserted is one word, whatever it is called: it can be sent off without a look.
        terminal.type("\x15trainci run tests/test_h\t")
        terminal.wait_for("PWNED")
        terminal.type(" --dry-run\n")
        terminal.wait_for("1 test selected")
        terminal.type("cd broken\ntrainci run t\tlis''ten\n")
        assert "Traceback" not in terminal.wait_for("trainci.toml:1: not valid TOML")
    assert not (project.root / "PWNED").exists()
