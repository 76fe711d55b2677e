"""A shell script that throws away how its tests went is found, and one that does not is left alone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.catalog.lost_in_shell import lost_in_shell, pytest_calls

CERTAIN = [
    "pytest tests | tee log",
    "python3 train.py 2>&1 | tee train.log",
    "set -ex\npython -m pytest tests | tee log",
    "torchrun --nproc-per-node 2 \\\n  train.py \\\n  | tee log",
    "HF_HOME=/x python train.py | grep -v INFO",
    "pytest tests || true",
    "torchrun x.py || :",
    "set -e\npytest tests || exit 0",
    "pytest tests || echo 'some tests failed'",
    "set -e\ntrap 'rm -f x; exit 0' EXIT\npython train.py",
]
PERHAPS = [
    "python a.py\npython b.py",
    "python prepare.py || true\nset -e\npython b.py",
    "for t in a b; do\n  pytest $t\ndone",
    "for t in a b; do pytest $t; done",
    "set -e\nset +e\npython a.py\npython b.py",
    "set -e\npython a.py || echo failed",
    "python server.py &\npython client.py",
    "pytest a\necho done",
    "#!/bin/bash -e\npython a.py\npython b.py",
]
SOUND = [
    "python train.py",
    "set -e\npython a.py\npython b.py",
    "set -euo pipefail\npython a.py | tee log\npython b.py",
    "set -o errexit\npython a.py\npython b.py",
    "pytest a && pytest b",
    "python a.py\ncode=$?\necho done\nexit $code",
    "python a.py | tee log\nexit ${PIPESTATUS[0]}",
    "if python a.py; then\n  echo good\nelse\n  exit 1\nfi",
    "pkill -9 sglang\npython train.py",
    "ray stop || true\npython train.py",
    "# python a.py | tee log\npython train.py",
    "cat <<EOF\npython a.py | tee log\nEOF\npython train.py",
    "echo 'python a.py | tee log'\npython train.py",
    "python train.py --filter 'a|b'",
    "python train.py \\\n  --a 1 \\\n  --b 2",
    "python a.py || exit 1\npython b.py",
    "trap 'exit 0' TERM\nset -e\npython a.py",
    "trap 'rm -f x' EXIT\nset -e\npython a.py",
    "set -e\nfor t in a b; do\n  pytest $t\ndone",
    "for n in 1 2; do\n  python a.py || exit 1\ndone",
]


@pytest.mark.parametrize("text", CERTAIN)
def test_a_result_that_goes_nowhere_is_found_for_certain(text: str) -> None:
    lost = lost_in_shell(text)
    assert [one.certain for one in lost] == [True]


@pytest.mark.parametrize("text", PERHAPS)
def test_what_may_go_nowhere_is_told_and_not_refused(text: str) -> None:
    lost = lost_in_shell(text)
    assert lost and not any(one.certain for one in lost)


@pytest.mark.parametrize("text", SOUND)
def test_a_script_that_heeds_its_results_is_left_alone(text: str) -> None:
    assert lost_in_shell(text) == ()


@pytest.mark.parametrize("text", ["false | tee log", "set -e\nfalse | cat", "false || true", "false\necho done"])
def test_such_a_script_is_green_over_a_failure(text: str, tmp_path: Path) -> None:
    """That these are faults is no opinion: the shell itself exits with 0."""
    assert subprocess.run(["bash", "-c", text], cwd=tmp_path, capture_output=True).returncode == 0


def test_lines_are_those_of_the_file() -> None:
    (lost,) = lost_in_shell("#!/bin/bash\n\n# a comment\npytest \\\n  tests | tee log\n")
    assert lost.line == 4


def test_a_call_of_pytest_is_a_command_and_no_word() -> None:
    assert pytest_calls("pytest a\npython -m pytest b; /opt/bin/pytest c\necho pytest\n# pytest d") == 3
    assert pytest_calls("if ! pytest a; then exit 1; fi") == 1


@given(st.text("ab |&;\\\n#'\"<E()$set-pytonh", max_size=80))
def test_any_text_is_read(text: str) -> None:
    lost_in_shell(text)


def test_such_a_script_is_refused_with_its_line_and_a_sound_one_is_run(repository: Any) -> None:
    repository.write("trainci.toml", '[suites.s]\nnum_gpus = 0\ntests = ["tests/a.sh", "tests/b.sh"]\n')
    repository.write("tests/a.sh", "#!/bin/bash\npytest tests | tee log\n")
    repository.write("tests/b.sh", "echo hello\n")
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    said = repository.trainci("run", "s", "--devices", "cpu:1", environment=locks)
    assert said.code == 2
    assert (
        "refused         tests/a.sh: tests/a.sh:2: the exit code of a pipe is that of its last program" in said.out
    )
    assert "passed tests/b.sh" in said.out
