"""What a CI says in roundabout ways: by groups, scripts that it writes, actions by their full name, other files."""

from __future__ import annotations

from typing import Any

import pytest
from proposals import job, proposed, run, suites

from trainci.adopt.github.expressions import Context, Unknown, evaluate
from trainci.adopt.github.runners import gpus_of
from trainci.adopt.placed import Items, Table, Text
from trainci.adopt.proposal import Proposal
from trainci.adopt.shell.script import commands
from trainci.adopt.toml import render

_FILES = {
    "own/__init__.py": "",
    "tests/test_a.py": "def test_it(): pass\n",
    "tests/unit/test_b.py": "def test_it(): pass\n",
    "tests/functional/L0_small.sh": "true\n",
    "tests/functional/L0_large.sh": "true\n",
    "ci/unittest-linux.sh": "true\n",
}
_A = {"path": "tests/test_a.py", "runner": "pytest"}


def _proposal(files: dict[str, str]) -> Proposal:
    return proposed({**_FILES, **files})


def _suites(files: dict[str, str]) -> dict[str, Any]:
    return suites({**_FILES, **files})


def _job(steps: str, head: str = "") -> dict[str, str]:
    return job(steps, head, on="pull_request")


def _run(*lines: str, head: str = "") -> dict[str, str]:
    return run(*lines, head=head, on="pull_request")


def _tests(files: dict[str, str]) -> list[Any]:
    return list(_suites(files).get("job", {}).get("tests", []))


def _left(files: dict[str, str]) -> list[tuple[str, int]]:
    return [(note.text, note.place.line) for note in _proposal(files).left]


# --- groups, and conditions of several parts


def test_commands_in_brackets_or_braces_are_commands() -> None:
    assert _tests(_run("(cd tests && pytest test_a.py)", "pytest tests/unit")) == [
        _A,
        {"path": "tests/unit", "runner": "pytest"},
    ]
    assert _tests(_run("{ export KIND=a; }", "pytest tests/test_a.py")) == [{**_A, "env": {"KIND": "a"}}]
    assert _tests(_run("(set -e", " pytest tests/test_a.py) 2>&1 | tee log")) == [_A]


@pytest.mark.parametrize("after", ["|| true", "| grep passed", "&"])
def test_a_group_or_a_loop_whose_failure_is_dropped_is_left(after: str) -> None:
    for block in ("(pytest tests/test_a.py)", "for f in a; do pytest tests/test_$f.py; done"):
        files = _run(f"{block} {after}", "echo done")
        assert _tests(files) == []
        assert len(_left(files)) == 1


@pytest.mark.parametrize(
    ("condition", "path"),
    [
        ('[[ "${{ matrix.os }}" == "linux" && "${{ matrix.py }}" == "3.13" ]]', "tests/test_a.py"),
        ('[ "${{ matrix.os }}" = mac ] || [ "${{ matrix.py }}" = 3.12 ]', "tests/unit"),
        ('[ "${{ matrix.os }}" = mac ] && [ "$(uname)" = x ]', "tests/unit"),
    ],
)
def test_conditions_that_are_joined_are_what_they_come_to(condition: str, path: str) -> None:
    head = "    strategy: {matrix: {os: [linux], py: ['3.13']}}\n"
    files = _run(f"if {condition}; then pytest tests/test_a.py; else pytest tests/unit; fi", head=head)
    assert [entry["path"] for entry in _tests(files)] == [path]


def test_joined_conditions_of_which_a_run_decides_one_are_left() -> None:
    files = _run('if [ a = a ] && [ "$(uname)" = x ]; then pytest tests; fi')
    assert "stands in a loop, a condition" in _left(files)[0][0]


# --- a script that a step writes


def _written(opening: str, write: str, run: str) -> dict[str, str]:
    script = [
        f"cmd=$(cat <<{opening}",
        "#!/bin/bash",
        "(",
        "  set -e",
        "  docker exec -t box_${{ github.run_id }} bash -c '\\",
        "    bash tests/functional/${{ matrix.script }}.sh && \\",
        '    echo "Finished." || echo "Did not finish."\'',
        ") 2>&1 | tee $DIR/err.log",
        "EOF",
        ")",
        write,
    ]
    body = "".join(f"          {line}\n" for line in script)
    head = "    strategy: {matrix: {script: [L0_small, L0_large]}}\n    env: {DIR: '${{ github.run_id }}'}\n"
    return _job(f"      - run: |\n{body}      - run: {run}\n", head)


@pytest.mark.parametrize("opening", ["EOF", "'EOF'"])
def test_a_script_that_a_step_writes_is_what_another_runs(opening: str) -> None:
    files = _written(opening, 'echo "$cmd" | tee "$DIR/job.sh"', "/bin/bash $DIR/job.sh")
    assert _tests(files) == ["tests/functional/L0_small.sh", "tests/functional/L0_large.sh"]
    assert not [text for text, _ in _left(files) if "not read as a test" in text]


def test_a_script_that_is_written_and_never_run_is_left_with_the_line_of_its_test() -> None:
    files = _written("EOF", 'echo "$cmd" > "$DIR/job.sh"', "true")
    assert _tests(files) == []
    text = "not read as a test: bash tests/functional/L0_small.sh && \\"
    assert [(text, 14)] == [one for one in _left(files) if "not read" in one[0]]


def test_a_here_document_without_a_first_line_of_a_script_is_a_value_only_where_all_of_it_is_known() -> None:
    for body, words in (("pytest tests", ("bash", "-c", "pytest tests")), ("pytest $X", ("bash", "-c"))):
        (command,) = commands(f'V=$(cat <<EOF\n{body}\nEOF\n)\nbash -c "$V"', 1)
        assert command.words[: len(words)] == words
        assert bool(command.open) == ("$" in body)


def test_numbers_of_the_shell_are_reckoned_and_anything_else_stays_open() -> None:
    (command,) = commands("timeout $(( 30 * 60 + 5 ))s bash tests/run.sh $((2 * X)) $(( 9 / 3 ))", 1)
    assert command.words[:2] == ("timeout", "1805s")
    assert command.open == ("$(",)


# --- what a job says to actions and workflows

_ACTION = """\
inputs: {script: {}, folder: {default: functional}}
runs:
  using: composite
  steps:
    - shell: bash
      run: bash tests/${{ inputs.folder }}/${{ inputs.script }}.sh
"""


@pytest.mark.parametrize("given", ["script: L0_small", "script: L0_small, other: x"])
def test_an_action_of_this_repository_by_its_full_name_is_its_own_if_it_takes_what_it_is_given(given: str) -> None:
    step = f"      - uses: lab/own/.github/actions/go@main\n        with: {{{given}}}\n"
    files = {**_job(step), ".github/actions/go/action.yml": _ACTION}
    assert _tests(files) == ([] if "other" in given else ["tests/functional/L0_small.sh"])


def test_a_command_that_an_action_of_others_is_given_is_left_with_its_line() -> None:
    head = "    strategy: {matrix: {include: [{start: coverage run -m pytest}, {start: pytest -x}]}}\n"
    step = "      - uses: lab/other/.github/actions/run@v1\n        with: {pytest_command: '${{ matrix.start }}'}\n"
    assert _left(_job(step, head)) == [("not read as a test: coverage run -m pytest", 8)]


def test_a_variable_that_only_a_run_knows_is_said_and_its_test_carried_over() -> None:
    files = _run("export TOKEN=${{ steps.app.outputs.token }}", "bash tests/functional/L0_small.sh")
    assert _tests(files) == ["tests/functional/L0_small.sh"]
    assert ("TOKEN: known in a run only", 8) in _left(files)


def test_a_command_by_a_variable_of_the_run_is_left_with_its_own_line() -> None:
    files = _job(
        "      - run: pip install .\n      - run: $CONDA/bin/pytest ${{ needs.look.outputs.args }} tests\n"
    )
    assert ("left out, known in a run only: $CONDA/bin/pytest ${{ needs.look.outputs.args }} tests", 7) in _left(
        files
    )


def test_the_same_left_line_of_several_places_is_one_comment_with_all_of_them() -> None:
    files = _job("      - run: $RUN python -m own.tests.all\n      - run: $RUN python -m own.tests.all\n")
    text = render(_proposal(files))
    assert "# Left to you (.github/workflows/ci.yml:6, also .github/workflows/ci.yml:7) not read as a test" in text


def test_a_line_that_each_row_of_a_matrix_says_in_its_own_values_is_left_once() -> None:
    head = "    strategy: {matrix: {part: [1, 2, 3]}}\n"
    files = _run("pytest --group ${{ matrix.part }} tests | grep passed", head=head)
    ((text, line),) = _left(files)
    assert line == 8
    assert text.endswith("(and 2 more rows of its matrix)")


# --- what decides that a job starts


@pytest.mark.parametrize(
    "condition",
    [
        "! contains(toJSON(github.event.commits.*.message), '[ci skip]')",
        "!(github.event_name == 'pull_request' && github.event.pull_request.user.login == 'dependabot[bot]')",
        "github.actor != 'dependabot[bot]'",
        "!github.event.pull_request.head.repo.fork",
        "github.event.pull_request.head.repo.full_name == github.repository",
        "github.event.inputs.suite == '' || github.event.inputs.suite == 'all'",
    ],
)
def test_a_condition_that_keeps_a_few_out_does_not_narrow_what_starts_it(condition: str) -> None:
    suite = _suites(_run("bash tests/functional/L0_small.sh", head=f'    if: "{condition}"\n'))["job"]
    assert suite["always"] is True
    assert "paths" not in suite


def test_a_condition_that_asks_for_a_few_does() -> None:
    head = "    if: contains(github.event.pull_request.title, 'npu')\n"
    assert "paths" in _suites(_run("bash tests/functional/L0_small.sh", head=head))["job"]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("startsWith(matrix.os, 'Ubuntu')", "true"),
        ("!startsWith(matrix.os, 'windows')", "true"),
        ("endsWith(matrix.os, '22')", "false"),
        ("contains(matrix.os, 'BUNTU')", "true"),
        ("contains(matrix.kinds, 'cpu')", "true"),
        ("contains(matrix.kinds, 'cp')", "false"),
        ("contains(github.event.label.name, 'cpu')", None),
        ("startsWith(matrix.os)", None),
    ],
)
def test_functions_of_known_values_are_what_they_come_to(source: str, value: str | None) -> None:
    row = Table({"os": Text("ubuntu-latest", 1), "kinds": Items([Text("gpu", 1), Text("cpu", 1)])})
    found = evaluate(source, Context({"matrix": row}))
    assert isinstance(found, Unknown) if value is None else found == value


# --- names


@pytest.mark.parametrize(
    ("label", "devices"),
    [
        ("linux-amd64-gpu-l4-latest-1", 1),
        ("linux-amd64-gpu-h100-latest-2", 2),
        ("linux-x64-gpu", None),
        ("linux-x86_64-gpu", None),
        ("arm64-4gpu", 4),
        ("a100x4-gpu", 4),
        ("16-gpu", 16),
        ("32-gpu", None),
    ],
)
def test_an_architecture_is_no_number_of_devices(label: str, devices: int | None) -> None:
    assert gpus_of([label]) == devices


@pytest.mark.parametrize(
    ("script", "is_test"),
    [
        ("ci/unittest-linux.sh", True),
        ("ci/run-unit-tests.sh", True),
        ("ci/test-cpu.sh", True),
        ("ci/smoke-test.sh", True),
        ("ci/latest-image.sh", False),
        ("ci/build.sh", False),
    ],
)
def test_a_script_that_is_called_a_test_is_one(script: str, is_test: bool) -> None:
    assert _tests({**_run(f"bash {script} --fast"), script: "true\n"}) == (
        [{"path": script, "args": ["--fast"]}] if is_test else []
    )


def test_the_value_of_an_option_is_no_path() -> None:
    (entry,) = _tests(_run("pytest --cov own --splits 4 --group 1 tests/test_a.py"))
    assert entry == {**_A, "args": ["--cov", "own", "--splits", "4", "--group", "1"]}


def test_a_configuration_of_circleci_that_goes_on_with_another_is_read_with_it() -> None:
    first = (
        "version: 2.1\nsetup: true\nworkflows: {w: {jobs: [{path/filter: {config-path: .circleci/test.yml}}]}}\n"
    )
    other = (
        "version: 2.1\njobs:\n  lite:\n    docker: [{image: 'i:1'}]\n    steps:\n"
        "      - run: pytest tests/test_a.py\nworkflows: {w: {jobs: [lite]}}\n"
    )
    suites = _suites({".circleci/config.yml": first, ".circleci/test.yml": other})
    assert suites["lite"]["tests"] == [_A]


def test_what_leads_to_a_command_is_said_once() -> None:
    files = _run("export URL=https://host/x", "pip install -r a.txt -f $URL", "pytest tests/test_a.py")
    suite = _suites(files)["job"]
    assert suite["setup"] == ["export URL=https://host/x && pip install -r a.txt -f $URL"]


def test_a_preparation_in_a_folder_that_only_a_run_knows_is_left_out_of_the_set_up() -> None:
    first = "      - run: pip install x\n        working-directory: ${{ github.repository }}\n"
    files = _job(f"{first}      - run: pytest tests/test_a.py\n")
    assert _suites(files)["job"] == {"job": "job", "always": True, "tests": [_A]}
    assert ("left out, known in a run only: (cd '${{ github.repository }}' && pip install x)", 6) in _left(files)


# --- functions of a file that a script sources


def test_a_function_of_a_sourced_file_that_runs_tests_is_a_test() -> None:
    common = "inner() {\n  pytest tests/unit -q\n}\nrun_all() {\n  set +e\n  inner\n}\nmake_ready() {\n  echo\n}\n"
    lines = ("source ci/common.sh", "make_ready", "export A=1", "run_all --fast", "rc=$?", "exit $rc")
    files = {**_run(*lines), "ci/common.sh": common}
    (suite,) = (suite for suite in _suites(files).values() if suite.get("tests"))
    command = ["bash", "-c", "source ci/common.sh && run_all --fast"]
    assert suite["tests"] == [{"command": command, "name": "run_all", "env": {"A": "1"}}]
    assert "source ci/common.sh && make_ready" in suite["setup"]
    assert _left({**_run("source ci/common.sh", "run_all || rc=$?"), "ci/common.sh": common}), "left, with a word"


def test_tests_in_other_languages_are_left_with_a_word_and_what_fetches_a_list_of_tests_is_none() -> None:
    lines = ("python3 ci/fetch_disabled_tests.py", "cargo nextest run --workspace", "bash qa/L0/test.sh")
    files = {**_run(*lines), "ci/fetch_disabled_tests.py": "", "qa/L0/test.sh": ""}
    assert _tests(files) == ["qa/L0/test.sh"]
    assert [text for text, _ in _left(files)] == ["not read as a test: cargo nextest run --workspace"]
