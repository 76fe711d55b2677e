"""Repositories that a job takes beside its own, its own under another name, and what steps leave to those after."""

from __future__ import annotations

from typing import Any

import pytest
from proposals import WORKFLOW, job, proposed, run, suites

_OWN = {"src/own/__init__.py": "", "tests/test_a.py": "def test_it(): pass\n", "tests/b/test_b.py": ""}
_PYTEST = {"path": "tests", "runner": "pytest"}


def _job(files: dict[str, str], name: str = "job") -> dict[str, Any]:
    made: dict[str, Any] = suites({**_OWN, **files})[name]
    return made


def _left(files: dict[str, str]) -> list[str]:
    return [note.text for note in proposed({**_OWN, **files}).left]


# --- other repositories


def test_a_repository_cloned_beside_this_one_is_tested_there() -> None:
    made = _job(run("cd .. && git clone https://git.test/org/other.git && cd other/", "pytest tests/b"))
    assert made["setup"] == ["(cd .. && git clone https://git.test/org/other.git)"]
    assert made["tests"][0]["command"] == ["bash", "-c", "cd ../other && exec pytest tests/b"]


def test_what_leaves_a_cloned_repository_is_in_this_one_again() -> None:
    made = _job(run("git clone https://git.test/org/other", "cd other/sub", "cd ../..", "pytest tests"))
    assert made["tests"] == [_PYTEST]


def test_another_repository_that_an_action_takes_is_cloned() -> None:
    takes = "      - uses: actions/checkout@v4\n        with: {repository: org/other, path: ./deps/other"
    runs = "      - run: pip install -e deps/other\n      - run: pytest tests\n"
    made = _job(job(f"{takes}, ref: v2}}\n{runs}"))
    cloned = "git clone https://github.com/org/other deps/other"
    assert made["setup"] == [f"{cloned} && git -C deps/other checkout v2"]
    assert made["install"] == "pip install -e deps/other"
    assert made["tests"] == [_PYTEST]
    files = job(f"{takes}, ref: '${{{{ steps.a.outputs.b }}}}', submodules: true}}\n{runs}")
    assert _job(files)["setup"] == [cloned.replace("clone", "clone --recurse-submodules")]
    assert _left(files) == ["deps/other is cloned at ${{ steps.a.outputs.b }}: known in a run only"]


# --- this repository


def test_a_clone_of_this_repository_is_the_checkout_that_a_job_has() -> None:
    """Else its tests would be those of the default branch, whatever a pull request changes."""
    clones = "git clone https://git.test/org/own;\n          cd own;\n          git checkout ${{ github.sha }};"
    steps = f"      - run: |\n          {clones}\n          pip install -e .;\n"
    files = job(f"{steps}      - run: pytest tests\n        working-directory: own\n")
    made = _job(files)
    assert "setup" not in made
    assert made["install"] == "pip install -e ."
    assert made["tests"] == [_PYTEST]
    assert _left(files) == []


def test_this_repository_in_a_folder_of_its_own_is_the_root() -> None:
    takes = "      - uses: actions/checkout@v4\n        with: {path: '${{ github.workspace }}/here'}\n"
    runs = "      - run: cd here && pip install -e .\n      - run: pytest tests\n        working-directory: here\n"
    made = _job(job(f"{takes}{runs}      - run: pytest here/tests/test_a.py\n"))
    assert made["install"] == "pip install -e ."
    assert made["tests"] == [_PYTEST, {"path": "tests/test_a.py", "runner": "pytest"}]


# --- what a step leaves


def test_what_every_test_of_a_job_is_given_is_said_of_the_suite() -> None:
    steps = "      - run: echo A=1 >> $GITHUB_ENV\n      - run: pip install x\n"
    made = _job(job(f"{steps}      - run: B=1 pytest tests\n      - run: B=2 pytest tests/b\n"))
    assert made["env"] == {"A": "1"}
    assert [entry["env"] for entry in made["tests"]] == [{"B": "1"}, {"B": "2"}]
    assert made["setup"] == ["pip install x"]


def test_tests_that_register_themselves_have_the_environment_of_the_command_that_runs_them() -> None:
    own = {"tests/test_r.py": 'CI_SUITES = ["short"]\n\n\ndef test_it(): pass\n'}
    steps = "      - run: echo PYTHONPATH=.:dep >> $GITHUB_ENV\n"
    files = job(f"{steps}      - run: A=1 python tests/run_suite.py --suite short\n")
    assert _job({**own, **files}, "short")["env"] == {"PYTHONPATH": ".:dep", "A": "1"}


@pytest.mark.parametrize("into", ['>> "$GITHUB_ENV"', "| tee -a $GITHUB_ENV"])
def test_variables_that_a_group_writes_for_later_steps_are_kept_or_named(into: str) -> None:
    files = run("v=$(date)", f'{{ echo "A=$v"; echo B=1; }} {into}', "pytest tests") if ">>" in into else None
    files = files or run(f"echo B=1 {into}", f'echo "A=$(date)" {into}', "pytest tests")
    files = {WORKFLOW: f"{files[WORKFLOW]}      - run: pytest tests/b\n"}
    made = _job(files)
    assert made["tests"][1]["env"] == {"B": "1"}
    assert _left(files) == ["A: known in a run only"]


def test_a_block_keeps_where_its_lines_come_from_and_go_to() -> None:
    lines = ("{ echo a; echo b; } > own.ini", "while read -r p; do", "  pip install $p", "done < list.txt")
    assert _job(run(*lines, "pytest tests"))["setup"] == [
        "{ echo a; echo b; } > own.ini",
        "while read -r p; do\n  pip install $p\ndone < list.txt",
    ]


def test_what_speaks_to_other_jobs_or_looks_is_no_set_up() -> None:
    looks = ('echo "a=$((2 * 3))" | tee -a "$GITHUB_OUTPUT"', "which python", "python --version", "uv pip freeze")
    made = _job(run(*looks, "pip freeze > pins.txt", "pytest tests"))
    assert made["setup"] == ["pip freeze > pins.txt"]


def test_words_that_hold_the_name_of_a_runner_run_nothing() -> None:
    lines = ("rm -rf /mnt/pytest", "pip install a \\", "  pytest")
    assert _left(run(*lines)) == []
    assert _left(run("ssh box \\", "  pytest tests")) == ["not read as a test: ssh box pytest tests"]


# --- devices and callers


@pytest.mark.parametrize(
    ("label", "says"), [("4xa6000", 4), ("8xH100", 8), ("own-12xlarge-a2", None), ("own-8-core-xl", None)]
)
def test_a_label_says_how_many_devices_a_machine_has(label: str, says: int | None) -> None:
    files = {WORKFLOW: run("pytest tests")[WORKFLOW].replace("ubuntu-latest", label)}
    assert _job(files).get("num_gpus") == says
    assert bool(_left(files)) == (label == "own-12xlarge-a2")


@pytest.mark.parametrize(
    ("line", "is_silent"),
    [("pytest -m gpu tests", True), ("pytest -m 'not gpu' tests", False), ("pytest tests", False)],
)
def test_a_marker_of_gpus_asks_how_many(line: str, is_silent: bool) -> None:
    assert _left(run(line)) == ["1 test of job: how many devices is said nowhere; num_gpus says it"][:is_silent]


def test_a_workflow_that_a_hand_and_another_workflow_start_is_read_once() -> None:
    called = run("pytest tests", on="{workflow_call: {}, workflow_dispatch: {}}")[WORKFLOW]
    caller = "on: push\njobs:\n  all: {uses: ./.github/workflows/inner.yml}\n"
    assert [*suites({**_OWN, ".github/workflows/inner.yml": called, WORKFLOW: caller})] == ["ci-all", "changed"]
    assert [*suites({**_OWN, ".github/workflows/inner.yml": called})] == ["job", "changed"]
