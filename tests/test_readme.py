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


sys.path.append(str(Path(__file__).parents[1] / "docs/screenshots"))

import looks  # noqa: E402
import sample  # noqa: E402


def recorded(name: str) -> str:
    (found,) = re.findall(rf"<!-- look: {name}\b.*?-->\n```text\n(.*?)```\n", README, re.DOTALL)
    return found


@pytest.mark.slow
def test_the_looks_at_a_red_run_and_at_a_host_are_of_the_shape_of_what_is_printed_now(tmp_path):
    root = sample.made(tmp_path / "repo")
    assert looks.shape(recorded("red")) == looks.shape(looks.red(root))
    assert sorted(looks.shape(recorded("gpus"))) == sorted(looks.shape(looks.gpus(root)))


STAND_IN = """
from trainci.testing import main
NUM_GPUS = 4
def prepare():
    pass
def execute():
    for step in (1, 12, 30):
        print(f"[rank0]:step {step} reward 0.5102 loss 0.003725 grad_norm 0.1714 clip 0.1")
if __name__ == "__main__":
    main(prepare=prepare, execute=execute)
"""


@pytest.mark.slow
def test_the_look_at_make_demo_is_of_the_shape_of_what_a_run_prints_now(tmp_path):
    """Of the same tests by name, which only print what those of the demo print when they train."""
    names = sorted(set(re.findall(r"tests/\S+\.py", recorded("demo"))))
    (tmp_path / "tests").mkdir()
    for name in names:
        (tmp_path / name).write_text(STAND_IN)
    (tmp_path / "trainci.toml").write_text(f"[suites.short]\nlabel = 'run-ci-short'\ntests = {names}\n")
    sample.git(tmp_path, "init", "-q", "-b", "main")
    assert set(looks.shape(looks.demo(tmp_path, tmp_path / "locks"))) == set(looks.shape(recorded("demo")))


def test_the_pictures_of_the_readme_and_of_the_docs_are_there_and_small():
    pages = [README, *(page.read_text() for page in (Path(__file__).parents[1] / "docs").glob("*.md"))]
    names = {name for page in pages for name in re.findall(r"screenshots/([\w.-]+)", page)}
    folder = Path(__file__).parents[1] / "docs/screenshots"
    assert {f"serve-{page}.webp" for page in ("now", "test", "suites")} < names
    assert names == {picture.name for picture in folder.glob("*.webp")}
    assert all((folder / name).stat().st_size < 200_000 for name in names)
