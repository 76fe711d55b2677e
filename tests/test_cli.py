"""The one error door: what becomes of expected errors, bugs, ^C and closed pipes."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from trainci import cli
from trainci.commands import list_tests
from trainci.errors import MachineError, UsageError

TRAINCI = str(Path(sys.executable).with_name("trainci"))


def run(*arguments: str) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    return cli.main(arguments, stdout, stderr), stdout.getvalue(), stderr.getvalue()


@pytest.fixture
def failing(monkeypatch):
    """Makes `trainci list` raise."""

    def install(error: BaseException) -> None:
        @click.command("list")
        def command() -> int:
            raise error

        monkeypatch.setattr(list_tests, "command", command)

    return install


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("no such suite"), 2, "trainci: no such suite\n"),
        (MachineError("the disk is full"), 3, "trainci: the disk is full\n"),
        (KeyboardInterrupt(), 130, "trainci: interrupted\n"),
        (UsageError("a name \udcff"), 2, "trainci: a name"),
    ],
)
def test_an_expected_error_is_its_sentence_and_its_exit_code(failing, error, code, said):
    failing(error)
    assert run("list")[0] == code
    assert run("list")[2].startswith(said)
    assert "Traceback" not in run("list")[2]


@pytest.mark.parametrize(
    "command", ["run", *(pytest.param(name, marks=pytest.mark.slow) for name in ("check", "list", "init"))]
)
def test_a_directory_that_is_gone_is_no_bug(command, tmp_path):
    words = f"cd {tmp_path}; mkdir x; cd x; rmdir ../x; {TRAINCI} {command} {'x' if command == 'run' else ''}"
    said = subprocess.run(["bash", "-c", words], capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (
        2,
        "trainci: the current directory was removed. Go to one that is there.\n",
    )


def test_a_bug_is_exit_3_and_says_that_it_is_ours(failing):
    failing(ZeroDivisionError("oops"))
    code, _, said = run("list")
    assert code == 3
    assert "ZeroDivisionError: oops" in said
    assert "a bug of trainci, not of your tests" in said


def test_a_file_that_the_host_refuses_is_a_sentence_and_no_bug(monkeypatch, tmp_path):
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / ("x" * 300)))
    code, _, said = run("gpus")
    assert code == 3 and "x: File name too long. The operating system refused it" in said
    assert "Traceback" not in said and "bug" not in said


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EMFILE, "Too many open files"), RuntimeError("can't start new thread"), MemoryError()],
)
def test_what_the_host_gives_no_more_of_is_a_sentence_and_no_bug(failing, error):
    failing(error)
    code, _, said = run("list")
    assert code == 3 and "This host gives trainci no more: look at `ulimit -a`" in said
    assert "Traceback" not in said and "bug" not in said


def test_an_unknown_command_or_option_is_exit_2():
    assert run("lst")[0] == 2
    assert run("run", "--no-such-option")[0] == 2


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(arguments):
    code, said, _ = run(*arguments)
    assert code == 0
    for name in cli._COMMANDS:
        assert f"\n  {name} " in said


@pytest.mark.parametrize("name", [name for name in cli._COMMANDS if name != "lease"])
def test_every_command_knows_help(name):
    code, said, _ = run(name, "--help")
    assert code == 0
    assert said.startswith(f"Usage: trainci {name}")


@pytest.mark.slow
def test_a_reader_that_has_had_enough_is_no_error(tmp_path):
    (tmp_path / "trainci.toml").write_text("[project]\n")
    (tmp_path / "tests").mkdir()
    for number in range(3000):
        (tmp_path / f"tests/test_{number:04d}.py").write_text("NUM_GPUS = 0\n")
    line = f"set -o pipefail; {TRAINCI} list | head -1"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_environment_that_has_python_read_on_at_its_end_changes_no_exit_code(tmp_path):
    environment = {**os.environ, "PYTHONINSPECT": "1"}
    command = [sys.executable, "-m", "trainci", "--version"]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_report_of_an_earlier_run_is_gone_before_the_command_is_imported(tmp_path, monkeypatch):
    """An interrupt may come meanwhile."""
    monkeypatch.setitem(sys.modules, "trainci.commands.run", None)
    report = tmp_path / "report.xml"
    for words, stays in (([], False), (["--dry-run"], True), (["--help"], True)):
        report.write_text("<testsuites/>")
        assert run("run", f"--junit={report}", *words)[0] == 3
        assert report.exists() is stays
