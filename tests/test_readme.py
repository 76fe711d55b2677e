"""The examples of the README are themselves checked."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from trainci import cli, config

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = re.findall(r"^\$ trainci (.+)$", README, re.MULTILINE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_parses(line):
    name, *arguments = shlex.split(line, comments=True)
    assert name in cli._COMMANDS
    if name != "lease":
        command = importlib.import_module(f"trainci.commands.{cli._COMMANDS[name][0]}").command
        command.make_context(name, arguments)


def test_the_configuration_of_the_readme_loads(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_ckpt.py").write_text("NUM_GPUS = 1\n")
    (tmp_path / "trainci.toml").write_text(blocks("toml")[0])
    assert [suite.label for suite in config.load(tmp_path).suites] == [
        "run-ci-ckpt",
        "run-ci-changed",
        "run-ci-image",
    ]


def test_the_test_file_that_init_writes_is_the_one_that_the_readme_teaches():
    assert blocks("python")[0] == (Path(cli.__file__).parent / "starter/tests/test_first.py").read_text()


def test_the_test_file_of_the_readme_runs(tmp_path):
    file = tmp_path / "test_readme_example.py"
    file.write_text(blocks("python")[0])
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["download here", "train here"]
