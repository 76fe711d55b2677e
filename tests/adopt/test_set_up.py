"""What prepares the tests of a job: it means under trainci, line by line in one shell, what it means in its CI."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from proposals import WORKFLOW, job, proposed, run, suites

_FILES = {"own/__init__.py": "", "tests/test_a.py": "def test_it(): pass\n", "docs/x.txt": "", "docs/y.txt": ""}


def _job(files: dict[str, str], name: str = "job") -> Any:
    return suites({**_FILES, **files})[name]


def _left(files: dict[str, str]) -> list[str]:
    return [note.text for note in proposed({**_FILES, **files}).left]


def _said_by(lines: list[str], where: Path) -> str:
    """What these lines of a suite's set-up say, run as a job runs them: one script, ended by the first failure."""
    (where / "docs").mkdir(exist_ok=True)
    for path in ("docs/x.txt", "docs/y.txt", "env.sh"):
        (where / path).write_text("export B=2\n" if path == "env.sh" else "")
    script = ["bash", "-eo", "pipefail", "-c", "\n".join(lines)]
    ended = subprocess.run(
        script, cwd=where, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["cd docs", "basename $PWD", "stat -c %n x.txt"], "docs\nx.txt\n"),
        (
            [
                "for d in do*s; do",
                "  (cd $d && stat -c %n y.txt)",
                "  cd $d/. && stat -c %n x.txt",
                "  cd ..",
                "done",
            ],
            "y.txt\nx.txt\n",
        ),
        (["cd docs", "for f in *.txt; do", "  basename $f", "done"], "x.txt\ny.txt\n"),
        (["cd docs && stat -c %n x.txt", "cd ..", "stat -c %n docs"], "x.txt\ndocs\n"),
        (["for f in docs/*.txt; do", '  basename "$f"', "done"], "x.txt\ny.txt\n"),
        (["for f in docs/*.txt; do (cd docs && basename $f); done"], "x.txt\ny.txt\n"),
        (["GLOB='*.txt'", 'basename "$GLOB"'], "*.txt\n"),
        (
            [
                "V=$(basename docs/x.txt)",
                'if [ "$V" = "$W" ]; then',
                "  mkdir no",
                "else",
                '  printf "%s\\n" "$V" | cp /dev/stdin /dev/stdout',
                "fi",
            ],
            "x.txt\n",
        ),
        (
            ["export A=1", "if [ -e env.sh ]; then", "  cp /dev/null n && printf $A > n && cp n /dev/stdout", "fi"],
            "1",
        ),
        (["D=$(echo docs)", "cd $D", "stat -c %n x.txt", "cd ..", "stat -c %n docs"], "x.txt\ndocs\n"),
        (["cd docs", "cd -", "stat -c %n docs/x.txt"], "docs/x.txt\n"),
        (["cd docs", ". ../env.sh", "cd ..", "basename docs/$B"], "2\n"),
        (["cd docs", "cat > n <<END", "one", "END", "cp n /dev/stdout"], "one\n"),
    ],
)
def test_set_up_lines_do_together_what_they_did_in_their_job(
    lines: list[str], expected: str, tmp_path: Path
) -> None:
    script = "".join(f"          {line}\n" for line in lines)
    made = _job(job(f"      - run: |\n{script}      - run: pytest tests/test_a.py\n"))
    assert _said_by([*made["setup"], *([made["install"]] if "install" in made else [])], tmp_path) == expected


def test_a_folder_of_one_step_is_not_that_of_the_next(tmp_path: Path) -> None:
    step = "      - run: stat -c %n {}\n        working-directory: ./docs\n"
    made = _job(job(step.format("x.txt") + step.format("y.txt") + "      - run: pytest tests\n"))
    assert _said_by(made["setup"], tmp_path) == "x.txt\ny.txt\n"


def test_the_home_folder_of_a_step_stays_one() -> None:
    made = _job(job("      - run: make tools\n        working-directory: ~/own\n      - run: pytest tests\n"))
    assert made["setup"] == ["(cd ~/own && make tools)"]
    steps = "      - run: |\n          cd docs\n          cd ~/own && make tools\n      - run: pytest tests\n"
    assert _job(job(steps))["setup"] == ["(cd docs && cd ~/own && make tools)"]


def test_a_script_that_comes_from_elsewhere_is_no_test() -> None:
    made = _job(run("pytest tests", "bash <(curl -s https://example.org/upload) -t x"))
    assert made["tests"] == [{"path": "tests", "runner": "pytest"}]


def test_an_image_that_the_job_builds_is_to_be_pushed_first() -> None:
    files = run("docker build -f own.Dockerfile \\", "  --tag own:ci .", "docker run own:ci pytest tests")
    made = _job(files)
    assert (made["image"], "setup" in made) == ("own:ci", False)
    assert [text for text in _left(files) if text.startswith("own:ci is built by the job itself")]
    other = run("docker build -t other:ci .", "docker run own:ci pytest tests")
    assert _job(other)["setup"] == ["docker build -t other:ci ."]
    assert not _left(other)


def test_a_job_whose_failure_changes_nothing_is_said_to_count_here() -> None:
    whole = run("pytest tests", head="    continue-on-error: true\n")
    assert "continue-on-error: here its failure counts" in _left(whole)
    part = run("pytest tests", head="    continue-on-error: ${{ matrix.kind == 'new' }}\n")
    assert "continue-on-error: ${{ matrix.kind == 'new' }}: here its failure counts" in _left(part)
    assert not _left(run("pytest tests", head="    continue-on-error: false\n"))
    assert not _left(run("pip install x", head="    continue-on-error: true\n"))


@pytest.mark.parametrize(
    "labels", ["[self-hosted, Linux, X64]", "linux-x64", "[self-hosted, x86]", "ubuntu-x86_64"]
)
def test_the_architecture_of_a_machine_is_no_number_of_devices(labels: str) -> None:
    files = {WORKFLOW: f"on: push\njobs:\n  job:\n    runs-on: {labels}\n    steps:\n      - run: pytest tests\n"}
    assert "num_gpus" not in _job(files)


@pytest.mark.parametrize(("label", "count"), [("L20x8", 8), ("h100x16", 16), ("gpu-4", 4), ("16-gpu", 16)])
def test_a_number_of_devices_in_a_label_is_one(label: str, count: int) -> None:
    files = {WORKFLOW: f"on: push\njobs:\n  job:\n    runs-on: {label}\n    steps:\n      - run: pytest tests\n"}
    assert _job(files)["num_gpus"] == count


@pytest.mark.parametrize(
    "head",
    [
        "if [ -e $X ]; then\n  MORE=x\nelse\n  MORE=\nfi\npip install $MORE",
        'while read a; do B=$a; done < f\nif [ -n "$B" ]; then pip install $B; fi',
    ],
)
def test_a_set_up_line_that_needs_what_a_condition_sets_is_said_to(head: str) -> None:
    (text,) = _left(run(*head.splitlines(), "pytest tests"))
    assert text.startswith(("MORE", "B")) and "is set in a loop, a condition or a function before it: " in text


def test_a_variable_that_a_loop_fills_is_not_given_its_first_value() -> None:
    lines = ["pins=", 'for x in $(ls); do pins+=" $x"; done', "for pin in $pins; do pip install $pin; done"]
    assert _job(run(*lines, "pytest tests"))["setup"][-1] == lines[-1]


def test_a_loop_that_names_its_own_variable_needs_no_other() -> None:
    assert not _left(run("for f in a b; do", "  [ -e $f ] || continue", "  pip install $f", "done", "pytest tests"))


def test_tests_that_a_script_reads_from_its_own_lines_are_named() -> None:
    (text,) = _left(run("bash <<'END'", "pytest tests/test_a.py", "END"))
    assert text.startswith("not read as a test: bash <<'END' pytest tests/test_a.py END")
    assert not _left(run("cat > x.py <<'END'", "pytest tests/test_a.py", "END", "pytest tests"))


def test_a_container_of_compose_runs_what_stands_behind_its_options() -> None:
    options = "-f x.yml run -e A --rm --volume $(pwd)/out:/out"
    call = f"docker-compose {options} cpu /usr/bin/timeout 30m bash -c 'cd /own && pytest -v tests'"
    assert _job(run(call))["tests"] == [{"path": "tests", "runner": "pytest", "args": ["-v"]}]


@pytest.mark.parametrize("path", ["tests/app_model_download_webdriver.py", "tests/rebuild_index_check.py"])
def test_a_file_among_tests_whose_name_only_holds_a_preparing_word_is_a_test(path: str) -> None:
    assert _job({path: "print()\n", **run(f"xvfb-run -a python3 {path}")})["tests"] == [
        {"path": path, "runner": "python"}
    ]


@pytest.mark.parametrize(
    "path",
    [
        "tests/download_model.py",
        "tests/big_old_model_downloads.py",
        "tests/L0_setup_data.py",
        "tests/prepare/all.py",
    ],
)
def test_a_file_among_tests_that_is_called_after_a_preparation_is_none(path: str) -> None:
    made = _job({path: "print()\n", **run(f"python3 {path}", "pytest tests/test_a.py")})
    assert (made["setup"], len(made["tests"])) == ([f"python3 {path}"], 1)


# --- make

_MAKEFILE = """\
.PHONY: test lint
MARK ?= slow
test: lint unit | FORCE  # all
\tpytest tests/test_a.py -m $(MARK)
unit:
\tpytest tests
lint:
\truff check .
asked:
ifeq ($(A),1)
\tpytest tests
endif
deep: test
both: unit asked
FORCE:
"""
_SUB = "doctest:\n\tpytest --doctest-modules own\n"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("make test", [("tests", None), ("tests/test_a.py", ["-m", "slow"])]),
        ("make -j 4 --no-print-directory test MARK=fast", [("tests", None), ("tests/test_a.py", ["-m", "fast"])]),
        ("make deep", [("tests", None), ("tests/test_a.py", ["-m", "slow"])]),
        ("make -C sub doctest", [("sub/own", ["--doctest-modules"])]),
        ("cd sub && make doctest", [("sub/own", ["--doctest-modules"])]),
        ("make -f sub/other.mk unit", [("tests/test_a.py", None)]),
    ],
)
def test_a_goal_of_make_is_what_it_runs_with_what_it_needs_before(call: str, expected: list[Any]) -> None:
    files = {"Makefile": _MAKEFILE, "sub/Makefile": _SUB, "sub/other.mk": "unit:\n\tpytest tests/test_a.py\n"}
    made = _job({**files, "sub/own/test_o.py": "", **run(call)})
    assert [(one["path"], one.get("args")) for one in made["tests"]] == expected


@pytest.mark.parametrize("call", ["make test-asked", "make -C none test", "make test-both"])
def test_a_goal_that_only_make_works_out_is_left_to_make(call: str) -> None:
    text = _MAKEFILE.replace("asked", "test-asked").replace("both", "test-both")
    made = _job({"Makefile": text, **run(call)})
    assert [one["command"] for one in made["tests"]] == [call.split()]


@pytest.mark.parametrize("call", ["make doctest -C docs", "make -C docs doctest", "make html doctest"])
def test_a_goal_that_is_called_after_tests_is_never_lost(call: str) -> None:
    files = run("pytest tests", call)
    found = [one.get("command") for one in _job(files)["tests"]] + _left(files)
    assert call.split() in found or any(call in str(one) for one in found)


# --- CircleCI

_CIRCLE = """\
version: 2.1
jobs:
  gpu:
    machine: { image: cuda, resource_class: gpu.nvidia.medium }
    working_directory: ~/own
    steps:
      - run: echo 'export A=1' >> $BASH_ENV
      - run: { command: source $BASH_ENV && pip install x, working_directory: ~/ }
      - run: { command: pytest tests, working_directory: ~/own }
      - run: { command: pytest tests, working_directory: ~/own/sub }
workflows: { all: { jobs: [gpu] } }
"""


def test_circleci_steps_run_where_the_repository_is_checked_out() -> None:
    files = {".circleci/config.yml": _CIRCLE, "sub/tests/test_b.py": ""}
    made = _job(files, "gpu")
    assert [one["path"] for one in made["tests"]] == ["tests", "sub/tests"]
    assert made["setup"] == ["(cd ~/ && pip install x)"]
    assert made["env"] == {"A": "1"}
    assert [text for text in _left(files) if "how many devices is said nowhere" in text]
