"""Kinds of CI descriptions, each as small as it can be: what is carried over is right, what is not is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from proposals import WORKFLOW, parsed, proposed, suites, written

from trainci.adopt.accepted import accepted
from trainci.adopt.proposal import Note, Proposal
from trainci.adopt.toml import render
from trainci.adopt.tree import repository_tree
from trainci.config import faults_in

_FILES = {
    "own/__init__.py": "",
    "tests/test_a.py": "def test_it(): pass\n",
    "tests/unit/test_b.py": "def test_it(): pass\n",
    "tests/nightly/test_c.py": "def test_it(): pass\n",
    "tests/run.sh": "true\n",
    "tests/L0_data.sh": "true\n",
    "tests/L0_model.sh": "true\n",
    "tests/helper.sh": "true\n",
}


def _proposal(files: dict[str, str]) -> Proposal:
    return proposed({**_FILES, **files})


def _suites(files: dict[str, str]) -> dict[str, Any]:
    return suites({**_FILES, **files})


def _workflow(run: str, head: str = "", more: str = "") -> dict[str, str]:
    lines = "\n".join(f"          {line}" for line in run.splitlines())
    job = f"jobs:\n  job:\n    runs-on: 8-gpu\n{head}    steps:\n      - name: go\n        run: |\n{lines}\n{more}"
    return {WORKFLOW: f"on: push\n{job}"}


def _run(run: str, files: dict[str, str] | None = None, head: str = "") -> list[Any]:
    return list(_suites({**_workflow(run, head), **(files or {})}).get("job", {}).get("tests", []))


def _left(files: dict[str, str]) -> list[Note]:
    return list(_proposal(files).left)


_A = {"path": "tests/test_a.py", "runner": "pytest"}
_UNIT = {"path": "tests/unit", "runner": "pytest"}


# --- the shell


def test_a_loop_over_constants_is_each_of_its_turns() -> None:
    made = _run("for part in unit nightly; do\n  pytest tests/$part\ndone")
    assert [entry["path"] for entry in made] == ["tests/unit", "tests/nightly"]
    assert _run('for f in tests/L0_*.sh; do bash "$f"; done') == ["tests/L0_*.sh"]


def test_a_loop_that_is_left_early_or_takes_too_many_turns_is_none_of_its_turns() -> None:
    """Its commands would be run again and again: it tries until it succeeds."""
    for loop in ("for i in 1 2 3; do pytest tests && break; done", f"for i in {'x ' * 101}; do pytest tests; done"):
        assert _run(loop) == []
        assert "stands in a loop" in _left(_workflow(loop))[0].text


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ("[ 8 = 8 ]", True),
        ("[[ a != a ]]", False),
        ('[ -n "$KIND" ]', True),
        ('[[ -z "$KIND" ]]', False),
        ('[ "$KIND" == unit ]', True),
        ("true", True),
    ],
)
def test_a_condition_of_constants_is_what_it_comes_to(condition: str, taken: bool) -> None:
    script = f"export KIND=unit\nif {condition}; then\n  pytest tests/test_a.py\nelse\n  pytest tests/unit\nfi"
    (entry,) = _run(script)
    assert entry["path"] == ("tests/test_a.py" if taken else "tests/unit")


@pytest.mark.parametrize(
    "condition", ['[ -n "$GITHUB_REF" ]', "test -d x", "[[ a == a* ]]", "grep -q x y", "[ 1 -lt 2 ]"]
)
def test_a_condition_that_a_run_decides_is_left_with_its_line(condition: str) -> None:
    files = _workflow(f"echo go\nif {condition}; then pytest tests; fi")
    (note,) = _left(files)
    assert ("stands in a loop, a condition" in note.text, note.place.line) == (True, 9)
    assert "job" not in _suites(files)


def test_a_variable_that_a_condition_sets_is_never_taken_for_empty() -> None:
    files = _workflow('ARGS="-m fast"\nif [ -n "$GITHUB_REF" ]; then ARGS="-m slow"; fi\npytest $ARGS tests')
    (note,) = _left(files)
    assert "ARGS is set in a loop, a condition or a function before it" in note.text
    assert "job" not in _suites(files)


def test_a_failure_that_is_kept_or_spoken_of_counts_and_one_that_is_dropped_is_left() -> None:
    assert _run("code=0\npytest tests/unit || code=1\nexit $code") == [_UNIT]
    assert _run("pytest tests/unit || echo failed") == [_UNIT]
    assert _run("pytest tests/unit || code=1\necho done") == []
    assert _run("pytest tests/unit || true") == []


# --- what starts tests


@pytest.mark.parametrize(
    "run",
    [
        "bash -lc 'pytest tests/test_a.py'",
        "docker exec -w /opt/own box pytest tests/test_a.py",
        "docker exec -it box bash -eux -o pipefail -c 'pytest tests/test_a.py'",
        "docker compose run --rm tests pytest tests/test_a.py",
        "docker run --rm image:1 bash -eux -o pipefail -c 'pytest tests/test_a.py'",
        "docker run --rm -w /workspace/own image:1 pytest tests/test_a.py",
        "cd /opt/own && pytest tests/test_a.py",
        "git clone https://host/lab/own && cd own && pytest tests/test_a.py",
        "pytest /opt/own/tests/test_a.py",
        "nice -n 5 pytest tests/test_a.py",
    ],
)
def test_a_command_within_another_is_the_same_test(run: str) -> None:
    assert _run(run) == [_A]


def test_another_repository_that_is_cloned_is_tested_in_its_own_folder() -> None:
    suite = _suites(_workflow("git clone https://host/lab/other && cd other && pytest tests/test_a.py"))["job"]
    assert suite["setup"] == ["git clone https://host/lab/other"]
    assert suite["tests"] == [
        {"command": ["bash", "-c", "cd other && exec pytest tests/test_a.py"], "name": "go"},
    ]


def test_what_a_step_writes_for_those_after_it_is_their_environment() -> None:
    head = (
        "    steps:\n      - run: |\n          echo OPTS='-x --tb short' >> $GITHUB_ENV\n"
        "          echo WHO=$(whoami) >> $GITHUB_ENV\n      - run: pytest $OPTS tests/unit\n"
    )
    files = {WORKFLOW: f"on: push\njobs:\n  job:\n    runs-on: 8-gpu\n{head}"}
    (entry,) = _suites(files)["job"]["tests"]
    assert entry == {**_UNIT, "args": ["-x", "--tb", "short"], "env": {"OPTS": "-x --tb short"}}
    assert "WHO: known in a run only" in [note.text for note in _left(files)]


def test_the_folder_that_a_script_is_in_is_the_checkout() -> None:
    assert _run("PYTHONPATH=$PWD:$(pwd)/src pytest tests/unit") == [{**_UNIT, "env": {"PYTHONPATH": ".:./src"}}]
    (entry,) = _run("cd tests\nPYTHONPATH=$PWD pytest unit")
    assert entry["command"][-1] == "cd tests && export PYTHONPATH=$PWD && exec pytest unit"


@pytest.mark.parametrize("line", ["pytest tests -m gpu", "X=1 python3 -m pytest tests", "torchrun -n 2 tests/a.py"])
def test_a_script_that_starts_tests_is_a_test_wherever_it_is(line: str) -> None:
    assert _run("bash ci/go.sh 8", {"ci/go.sh": f"set -e\n{line}\n"}) == [{"path": "ci/go.sh", "args": ["8"]}]
    assert _run("bash ci/go.sh 8", {"ci/go.sh": "pip install pytest\n"}) == []


def test_a_job_that_other_machines_run_is_a_command_where_its_step_speaks_of_tests() -> None:
    steps = "    steps:\n      - {name: tests, run: modal run -m ci.e2e}\n      - {run: modal run -m ci.clean}\n"
    made = _suites({WORKFLOW: f"on: push\njobs:\n  job:\n    runs-on: 8-gpu\n{steps}"})
    assert [entry["command"] for entry in made["job"]["tests"]] == [["modal", "run", "-m", "ci.e2e"]]


def test_what_docker_gives_its_tests_goes_with_them() -> None:
    (entry,) = _run("docker run -e MODE=fast -e WHO=$(whoami) image:1 pytest tests/test_a.py")
    assert entry["env"] == {"MODE": "fast"}
    assert _run("docker exec -e MODE=fast box pytest tests/test_a.py")[0]["env"] == {"MODE": "fast"}


_TOX = """\
[tox]
envlist = py
[testenv]
commands = pytest {posargs:tests/test_a.py}
[testenv:unit]
setenv = MODE = fast
commands =
    pytest \\
      tests/unit
    - pytest tests/nightly
[testenv:odd]
commands = {[testenv]commands}
"""


def test_an_environment_of_tox_is_its_commands() -> None:
    assert _run("tox -e py310", {"tox.ini": _TOX}) == [_A]
    assert _run("tox -e py -- tests/unit", {"tox.ini": _TOX}) == [_UNIT]
    # What is behind a dash may fail, so its green says nothing.
    assert _run("tox -e unit", {"tox.ini": _TOX}) == [{**_UNIT, "env": {"MODE": "fast"}}]


_NOX = """\
import nox
@nox.session(python=["3.10", "3.12"])
def unit(session):
    session.install("pytest")
    session.run("pytest", "tests/unit", *session.posargs, env={"MODE": "fast"})
@nox.session(name="whole")
def other(session):
    session.run("pytest", "tests/test_a.py")
@nox.session
def open(session):
    session.run("pytest", WHICH)
@nox.session
def odd(session):
    for version in VERSIONS:
        session.run("pytest", version)
"""


def test_a_session_of_nox_is_what_it_runs() -> None:
    files = {"noxfile.py": _NOX}
    assert _run("nox -s unit-3.12", files) == [{**_UNIT, "env": {"MODE": "fast"}}]
    assert _run("nox -s whole", files) == [_A]
    # What cannot be told is left to nox itself.
    assert _run("uv run nox -s odd", files) == [
        {"command": ["uv", "run", "nox", "-s", "odd"], "name": "uv-run-nox--s-odd"}
    ]
    assert _run("nox -s open", files) == [{"command": ["nox", "-s", "open"], "name": "nox--s-open"}]


@pytest.mark.parametrize(
    ("run", "gpus"),
    [
        ("accelerate launch --num_processes 4 tests/test_a.py --x", 4),
        ("accelerate launch --num_processes=2 tests/test_a.py", 2),
        ("deepspeed --num_gpus 8 tests/test_a.py", 8),
        ("mpirun -np 4 python tests/test_a.py", 4),
        ("torchrun --nproc_per_node 4 -m pytest tests/test_a.py", 4),
    ],
)
def test_a_launcher_of_ranks_is_a_command_with_its_devices(run: str, gpus: int) -> None:
    (entry,) = _run(run)
    assert (entry["command"], entry["num_gpus"]) == (run.split(), gpus)


def test_unittest_and_other_languages_are_tests_too() -> None:
    assert _run("python -m unittest discover -s tests") == [
        {"module": "unittest", "args": ["discover", "-s", "tests"]}
    ]
    suite = _suites(_workflow("uv run -m unittest discover -s tests"))["job"]
    assert (suite["python"], suite["tests"][0]["module"]) == ("uv run python", "unittest")
    assert _run("cargo test --release")[0]["command"] == ["cargo", "test", "--release"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", '[project.scripts]\nown_test_all = "own.cli:main"\n'),
        ("pyproject.toml", '[tool.poetry.scripts]\nown_test_all = "own.cli:main"\n'),
        ("setup.cfg", "[options.entry_points]\nconsole_scripts =\n    own_test_all = own.cli:main\n"),
        ("setup.py", 'setup(entry_points={"console_scripts": [\n    "own_test_all=own.cli:main",\n]})\n'),
    ],
)
def test_a_program_of_the_project_that_is_called_a_test_is_one(file: str, text: str) -> None:
    command = {"command": ["own_test_all", "+shard=1"], "name": "own_test_all"}
    assert _run("own_test_all +shard=1", {file: text}) == [command]
    assert _run("uv run own_test_all +shard=1", {file: text})[0]["command"][-2:] == command["command"]
    assert _run("own_test_all +shard=1") == []
    loop = 'for one in $(git diff); do if own_test_all "$one"; then echo good; else CODE=1; fi; done\nexit $CODE'
    assert [note.place.line for note in _left({**_workflow(loop), file: text})] == [8]


def test_a_tool_of_pythons_own_is_no_test_after_a_test() -> None:
    tools = "python -m tarfile -l dist/*.tar.gz\npython -m venv a\npython -m json.tool b.json"
    assert _run(f"pytest tests/test_a.py\n{tools}\npython -m own.more") == [_A, {"module": "own.more"}]


# --- devices


@pytest.mark.parametrize(("visible", "gpus"), [("0", 1), ("0,1", 2), ('""', 0), ("0, 1, 2, 3", 4), ("-1", 0)])
def test_visible_devices_are_a_number_of_devices_which_the_lease_chooses(visible: str, gpus: int) -> None:
    head = f"    env: {{CUDA_VISIBLE_DEVICES: '{visible}'}}\n".replace("'\"\"'", "''")
    suite = _suites(_workflow("pytest tests/test_a.py", head))["job"]
    assert suite["tests"] == [{**_A, "num_gpus": gpus}]
    assert "env" not in suite
    (entry,) = _run(f"CUDA_VISIBLE_DEVICES='{visible}' pytest tests/test_a.py".replace("'\"\"'", "''"))
    assert entry == {**_A, "num_gpus": gpus}


# --- matrices that a run makes

_MAKES = """\
  make:
    outputs: {rows: "${{ steps.one.outputs.rows }}"}
    steps:
      - id: one
        run: |
%s
"""
_OF_ROWS = '    needs: make\n    strategy: {matrix: {kind: "${{ fromJSON(needs.make.outputs.rows) }}"}}\n'
_INCLUDES = '    needs: make\n    strategy: {matrix: "${{ fromJSON(needs.make.outputs.rows) }}"}\n'


_CHOICE = """\
if [ %s ]; then
  echo 'rows=["other"]' >> $GITHUB_OUTPUT
else
  echo 'rows=["unit","nightly"]' >> $GITHUB_OUTPUT
fi"""


def _made(script: str) -> str:
    return _MAKES % "\n".join(f"          {line}" for line in script.splitlines())


@pytest.mark.parametrize(
    "script",
    [
        """echo 'rows=["unit","nightly"]' >> $GITHUB_OUTPUT""",
        """LIST='["unit","nightly"]'\necho "rows=$LIST" | tee -a "$GITHUB_OUTPUT\"""",
        """echo '::set-output name=rows::["unit","nightly"]'""",
        _CHOICE % "a = b",
        _CHOICE.replace("other", "unit") % '"$GITHUB_REF" = x',
    ],
)
def test_a_matrix_whose_rows_stand_in_the_script_that_makes_it_is_read(script: str) -> None:
    made = _suites(_workflow("pytest tests/${{ matrix.kind }}", _OF_ROWS, _made(script)))
    assert [entry["path"] for entry in made["job"]["tests"]] == ["tests/unit", "tests/nightly"]


def test_a_row_in_a_here_document_is_read() -> None:
    script = 'KIND=unit\ncat > rows.json <<EOF\n{"kind": "$KIND", "gpus": 4}\nEOF\n'
    script += 'echo "rows=$(cat rows.json)" >> $GITHUB_OUTPUT'
    made = _suites(_workflow("pytest tests/${{ matrix.kind }}", _INCLUDES, _made(script)))
    assert made["job"]["tests"] == [{**_UNIT, "num_gpus": 4}]


def test_a_matrix_of_the_files_that_a_job_lists_is_their_glob() -> None:
    for listing in ("ls tests/nightly/test_*.py", "find tests/nightly -name 'test_*.py'"):
        more = _made(f'files=$({listing})\necho "rows=$(echo $files | jq -R .)" >> $GITHUB_OUTPUT')
        (entry,) = _suites(_workflow('pytest "${{ matrix.kind }}"', _OF_ROWS, more))["job"]["tests"]
        assert entry["path"] in ("tests/nightly/test_*.py", "tests/nightly/**/test_*.py")


def test_a_script_whose_name_a_run_makes_is_every_file_that_it_can_name() -> None:
    more = _made("python plan.py >> $GITHUB_OUTPUT")
    files = _workflow("bash tests/L0_${{ matrix.kind }}.sh", _OF_ROWS, more)
    assert _suites(files)["job"]["tests"] == ["tests/L0_*.sh"]
    assert "every file that it can name" in render(_proposal(files))
    more = _made("find tests -name 'L0_*.sh' -exec basename {} .sh \\; >> $GITHUB_OUTPUT")
    assert _suites(_workflow("bash tests/${{ matrix.kind }}.sh", _OF_ROWS, more))["job"]["tests"] == [
        "tests/L0_*.sh"
    ]


def test_what_only_a_run_knows_is_left_with_the_words_that_stand_there() -> None:
    files = _workflow("pytest tests -k ${{ matrix.kind }}", _OF_ROWS, _made("python plan.py >> $GITHUB_OUTPUT"))
    assert "known in a run only: pytest tests -k ${{ matrix.kind }}" in [note.text for note in _left(files)]


def _matrix(matrix: str, run: str, head: str = "") -> dict[str, str]:
    job = f"    runs-on: 8-gpu\n    strategy: {{matrix: {matrix}}}\n    steps: [{{run: '{run}'}}]\n"
    return {WORKFLOW: f"on: push\njobs:\n  job:\n{head}{job}"}


_OPEN = "'${{ fromJSON(needs.a.outputs.b) }}'"


def test_the_known_axes_of_a_matrix_are_read_beside_one_that_only_a_run_knows() -> None:
    matrix = f"{{python: {_OPEN}, kind: [nightly, unit]}}"
    made = _suites(_matrix(matrix, "pytest tests/${{ matrix.kind }}"))["job"]["tests"]
    assert [entry["path"] for entry in made] == ["tests/nightly", "tests/unit"]


def test_an_axis_that_only_a_run_knows_is_never_empty() -> None:
    files = _matrix(
        f"{{where: {_OPEN}, kind: [nightly]}}", "pytest tests/${{ matrix.kind }} -k ${{ matrix.where }}"
    )
    assert "job" not in _suites(files)
    (note,) = _left(files)
    assert note.text == "known in a run only: pytest tests/nightly -k ${{ matrix.where }}"


def test_rows_that_name_an_axis_of_a_run_are_combinations_of_their_own() -> None:
    matrix = f"{{where: {_OPEN}, kind: [nightly], include: [{{where: here, kind: unit}}, {{kind: nightly, x: y}}]}}"
    made = _suites(_matrix(matrix, "pytest tests/${{ matrix.kind }}"))["job"]["tests"]
    assert [entry["path"] for entry in made] == ["tests/nightly", "tests/unit"]


_GATE = "on: [push, pull_request]\njobs:\n  gate:\n    if: {gate}\n    steps: [{{run: 'true'}}]\n"
_HAS_LABEL = "contains(github.event.pull_request.labels.*.name, 'run-gpu')"


@pytest.mark.parametrize(
    ("own", "expected"),
    [("", "run-gpu"), ("needs.gate.outputs.x == ''", "run-gpu"), ("always()", ""), ("${{ !cancelled() }}", "")],
)
def test_a_job_is_started_by_the_label_of_the_job_before_it(own: str, expected: str) -> None:
    job = f"  job:\n    needs: gate\n    if: {own}\n    runs-on: 8-gpu\n    steps: [{{run: pytest tests}}]\n"
    (suite,) = [suite for suite in _proposal({WORKFLOW: _GATE.format(gate=_HAS_LABEL) + job}).suites if suite.tests]
    assert (suite.label, suite.always) == (expected, not expected)


def test_a_job_of_another_event_than_a_change_is_not_started_by_every_pull_request() -> None:
    def always(condition: str) -> bool:
        job = f"  job:\n    if: {condition}\n    runs-on: 8-gpu\n    steps: [{{run: pytest tests}}]\n"
        files = {WORKFLOW: f"on: [push, pull_request, merge_group]\njobs:\n{job}"}
        return next(suite.always for suite in _proposal(files).suites if suite.tests)

    assert not always("github.event_name == 'merge_group'")
    assert not always("${{ github.event_name == 'schedule' || github.event_name == 'workflow_dispatch' }}")
    assert always("github.event_name == 'schedule' || github.repository == 'lab/own'")
    assert always("github.event_name != 'schedule'")
    assert always("github.event_name == 'pull_request' || github.event_name == 'schedule'")


@pytest.mark.parametrize(
    ("on", "always"),
    [
        ("{push: {tags: ['v*']}}", False),
        ("{push: {tags: ['v*'], branches: [main]}}", True),
        ("{push: {tags: ['v*']}, pull_request: null}", True),
        ("{push: {tags-ignore: ['v*']}, schedule: [{cron: '0 1 * * *'}]}", False),
    ],
)
def test_what_a_tag_starts_is_not_started_by_every_pull_request(on: str, always: bool) -> None:
    files = {WORKFLOW: f"on: {on}\njobs:\n  job:\n    runs-on: 8-gpu\n    steps: [{{run: pytest tests}}]\n"}
    assert next(suite.always for suite in _proposal(files).suites if suite.tests) is always


def test_a_step_that_ends_a_job_without_a_label_is_a_label() -> None:
    lacks = "!contains(github.event.pull_request.labels.*.name, 'run-ci')"
    gate = f'    steps: [{{if: "{lacks}", run: echo no; exit 1}}]\n'
    job = "  job:\n    needs: gate\n    runs-on: 8-gpu\n    steps: [{run: pytest tests}]\n"
    (suite, _) = _proposal({WORKFLOW: f"on: pull_request\njobs:\n  gate:\n{gate}{job}"}).suites
    assert (suite.label, suite.always) == ("run-ci", False)


_FILTERS = """\
on: pull_request
jobs:
  changes:
    outputs:
      core: ${{ steps.look.outputs.core }}
      any: ${{ steps.files.outputs.any_changed }}
      own: ${{ 1 }}
    steps:
      - {id: files, uses: tj-actions/changed-files@v45, with: {files: "docs/**\\n*.md"}}
      - id: look
        uses: dorny/paths-filter@v3
        with:
          filters: |
            shared: &shared
              - setup.py
            core:
              - *shared
              - added|modified: 'src/**'
              - '!src/own.md'
  job:
    needs: changes
    if: CONDITION
    runs-on: 8-gpu
    steps: [{run: pytest tests}]
"""


@pytest.mark.parametrize(
    ("condition", "paths", "left"),
    [
        ("needs.changes.outputs.core == 'true'", ("setup.py", "src/**"), False),
        ("${{ !cancelled() && (needs.changes.outputs.core == 'true') }}", ("setup.py", "src/**"), False),
        ("needs.changes.outputs.core", ("setup.py", "src/**"), False),
        ("needs.changes.outputs.any == 'true'", ("docs/**", "*.md"), False),
        ("needs.changes.outputs.core != 'true'", (), True),
        ("needs.changes.outputs.core == 'false'", (), True),
        ("needs.changes.outputs.own == 'true'", (), True),
        ("needs.changes.outputs.core == 'true' && vars.GPU", ("setup.py", "src/**"), True),
    ],
)
def test_a_filter_of_changed_paths_is_the_paths_of_the_jobs_that_ask_it(
    condition: str, paths: tuple[str, ...], left: bool
) -> None:
    (suite, _) = _proposal({WORKFLOW: _FILTERS.replace("CONDITION", condition)}).suites
    assert suite.paths == paths
    assert bool([note for note in suite.notes if note.text.startswith("if: ")]) is left


def test_a_server_that_a_job_starts_before_its_tests_stays_in_the_background() -> None:
    run = "python -m http.server 80 &\ncd own\nPORT=9 python serve.py &\ncd ..\npytest tests/test_a.py"
    suite = _suites(_workflow(run))["job"]
    first, second = suite["setup"]
    assert first == "{ python -m http.server 80 & }"
    assert "cd own" in second and second.rstrip(")").rstrip().endswith("python serve.py & }")


def test_what_no_test_follows_is_not_run_before_the_tests() -> None:
    files = _workflow("make prepare\npytest tests/unit\nmerge --parts\npytest tests/nightly\ncoverage report\n")
    assert _suites(files)["job"]["setup"] == ["make prepare", "merge --parts"]
    notes = [note.text for suite in _proposal(files).suites for note in suite.notes]
    assert "left out, after the last test: coverage report" in notes


def test_a_loop_over_a_glob_keeps_it_a_glob() -> None:
    run = 'export PYTHONPATH=$(pwd):$PYTHONPATH\nfor file in tests/unit/test_*.py; do pytest "$file"; done'
    (entry,) = _run(run)
    assert entry["command"][-1].endswith("exec pytest tests/unit/test_*.py")


def test_a_variable_that_another_one_is_made_of_stays_with_it() -> None:
    (entry,) = _run('A=$(find-model)\nB="$A/x" torchrun -m pytest tests/unit')
    assert entry["command"][-1] == 'export A=$(find-model) && export B="$A/x" && exec torchrun -m pytest tests/unit'


@pytest.mark.parametrize(
    ("run", "python"),
    [
        ("cd own\nuv run --frozen pytest ../tests/unit", "uv run --project own --frozen python"),
        ("cd own\npoetry run pytest ../tests/unit", "poetry --project own run python"),
    ],
)
def test_the_project_of_another_folder_is_the_one_that_runs_its_tests(run: str, python: str) -> None:
    assert _run(run) == [{"path": "tests/unit", "runner": "pytest"}]
    assert _suites(_workflow(run))["job"]["python"] == python


def test_a_project_that_is_found_in_its_folder_only_is_started_there() -> None:
    (entry,) = _run("cd own\npdm run pytest ../tests/unit")
    assert entry["command"] == ["bash", "-c", "cd own && exec pdm run pytest ../tests/unit"]


def test_suites_on_the_same_machines_ask_once_how_many_devices() -> None:
    job = "    runs-on: big\n    steps: [{run: pytest tests/%s}]\n"
    files = {WORKFLOW: f"on: push\njobs:\n  a:\n{job % 'unit'}  b:\n{job % 'nightly'}"}
    (note,) = _left(files)
    assert note.text == "2 tests of 2 suites on big: how many devices is said nowhere; num_gpus says it"


@pytest.mark.parametrize("start", ["coverage run", "python -m coverage run"])
@pytest.mark.parametrize(
    "source", ["", "--source own", "--source ${{ env.SCOPE }}", "-p --source=${{ env.SCOPE }}"]
)
def test_what_coverage_measures_is_no_part_of_a_test(start: str, source: str) -> None:
    assert _run(f"{start} {source} -m pytest tests/unit -v") == [{**_UNIT, "args": ["-v"]}]
    (entry,) = _run(f"cd tests/unit\n{start} {source} -m pytest -n $COUNT")
    assert "${{" not in entry["command"][-1]


def test_the_same_tests_in_many_set_ups_are_said_once() -> None:
    matrix = "{version: [1, 2, 3]}"
    files = _matrix(matrix, "pip install other==${{ matrix.version }} && pytest tests/unit")
    (note,) = _left(files)
    assert note.text.startswith("the same tests, prepared with `pip install other==2`, and in 1 other way: ")


@pytest.mark.parametrize(("machine", "expected"), [("ubuntu-22.04", "Linux"), ("[self-hosted, 8-gpu]", "Linux")])
def test_the_system_of_a_machine_is_known(machine: str, expected: str) -> None:
    job = f"    runs-on: {machine}\n    steps:\n"
    for system in ("macOS", "Linux", "Windows"):
        job += f"    - {{if: \"runner.os == '{system}'\", run: 'echo OS={system} >> $GITHUB_ENV'}}\n"
    files = {WORKFLOW: f"on: push\njobs:\n  job:\n{job}    - run: pytest tests/unit\n"}
    assert _suites(files)["job"]["tests"] == [{**_UNIT, "env": {"OS": expected}}]


def test_a_variable_that_a_program_writes_is_named() -> None:
    files = _workflow("python -c \"print('SCOPE=' + str(1))\" >> $GITHUB_ENV\npytest tests/unit")
    assert [note.text for note in _left(files)] == ["SCOPE: known in a run only"]


def test_a_list_that_a_script_of_the_repository_makes_is_read_by_its_names() -> None:
    plan = """done < <(find "$folder" -maxdepth 1 -name 'L0_*.sh' | sort)\n"""
    files = _workflow("bash tests/${{ matrix.script }}.sh", _OF_ROWS, _made("plan=$(bash ci/plan.sh x)"))
    assert _suites({**files, "ci/plan.sh": plan})["job"]["tests"] == ["tests/L0_*.sh"]


def test_all_that_stands_in_a_folder_is_the_folder() -> None:
    assert _run("pytest tests/unit/*") == [_UNIT]


# --- why a job is not read


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ("uses: lab/other/.github/workflows/t.yml@v1", "it calls lab/other/.github/workflows/t.yml@v1, a "),
        ("uses: ./.github/workflows/gone.yml", "it calls ./.github/workflows/gone.yml, which is not here"),
        ("steps: [{run: modal run -m ci.e2e}]", "its last command is `modal run -m ci.e2e`"),
        ("strategy: {matrix: {x: '${{ fromJSON(needs.a.outputs.b) }}'}}", "its matrix is made in a run"),
    ],
)
def test_a_job_of_tests_that_gives_none_is_named_with_the_reason(job: str, why: str) -> None:
    (note,) = _left({WORKFLOW: f"on: push\njobs:\n  e2e-tests:\n    {job}\n"})
    assert note.text.startswith("the job e2e-tests runs no test that could be read")
    assert why in note.text
    assert note.place.file == WORKFLOW


@pytest.mark.parametrize(
    "name", ["Compile and run tests", "Execute integration tests on H100", "Run the tests (8 GPUs)"]
)
def test_a_job_whose_own_action_has_a_step_that_is_called_tests_is_named(name: str) -> None:
    step = f"- name: {name}\n      shell: bash\n      run: python3 tools/ci/fa4.py --workers 64\n"
    files = {
        WORKFLOW: "on: push\njobs:\n  correctness:\n    steps: [{uses: ./.github/actions/gpu}]\n",
        ".github/actions/gpu/action.yml": f"runs:\n  using: composite\n  steps:\n    {step}",
    }
    (note,) = _left(files)
    assert note.text.startswith(
        "the job correctness runs no test that could be read: its last command is `python3 "
    )


# --- nothing that `check` would refuse


def test_a_pattern_of_branches_that_only_github_has_becomes_a_wider_one() -> None:
    head = "on:\n  push:\n    branches: [main, 'pull-request/[0-9]+', 'r[0-9].?']\n"
    made = _suites({WORKFLOW: f"{head}jobs:\n  job:\n    steps: [{{run: pytest tests}}]\n"})
    assert made["job"]["branches"] == ["main", "pull-request/*", "r*.*"]


_REFUSED = """\
on:
  pull_request:
    branches: [a..b, main]
    paths: [../x/**, src/**]
env: {TRAINCI_X: "1", PLAIN: "2"}
jobs:
  job:
    timeout-minutes: 0
    steps:
      - run: pytest tests/test_a.py
      - run: pytest ../other/tests/*
"""


def test_what_the_configuration_would_refuse_is_left_out_with_its_reason(tmp_path: Any) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text(_FILES["tests/test_a.py"])
    proposal = _proposal({WORKFLOW: _REFUSED})
    assert faults_in(render(proposal), tmp_path)
    made = accepted(proposal, lambda source: faults_in(source, tmp_path))
    document = render(made)
    assert faults_in(document, tmp_path) == []
    suite = parsed(made)["suites"]["job"]
    assert (suite["branches"], suite["tests"]) == (["main"], [_A])
    assert any("a..b" in note.text for note in made.left)


# --- other CIs

_GITLAB = """\
include:
  - local: /.gitlab/tests.yml
default:
  image: lab/train:1
  before_script: [pip install -e .]
variables: {MODE: fast}
.base:
  tags: [8-gpu]
  script: [echo base]
lint:
  script: ruff check
unit:
  extends: .base
  variables: {KIND: {value: unit, description: which}}
  script:
    - !reference [.prepare, script]
    - pytest tests/$KIND
  timeout: 1h 30m
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
      changes: [src/**]
"""
_GITLAB_TESTS = """\
.prepare:
  script: [mkdir -p out]
rows:
  tags: [gpu-4]
  parallel: {matrix: [{KIND: [unit, nightly], LR: ["1"]}]}
  script: ["LR=$LR pytest tests/$KIND"]
by-hand:
  when: manual
  script: [pytest tests/test_a.py]
  allow_failure: true
"""


def test_gitlab_jobs_are_suites_with_what_they_extend_and_include() -> None:
    files = {".gitlab-ci.yml": _GITLAB, ".gitlab/tests.yml": _GITLAB_TESTS}
    made = _suites(files)
    assert set(made) == {"unit", "rows", "by-hand", "changed"}
    unit = made["unit"]
    assert unit["tests"] == [{"path": "tests/unit", "runner": "pytest"}]
    assert (unit["runs_on"], unit["num_gpus"], unit["timeout_minutes"]) == (["8-gpu"], 8, 90)
    assert (unit["always"], unit["paths"], unit["install"]) == (
        True,
        ["src/**"],
        "pip install -e . && mkdir -p out",
    )
    document = written({**_FILES, **files})
    assert (document["project"]["image"], document["project"]["env"]) == ("lab/train:1", {"MODE": "fast"})
    assert [one["path"] for one in made["rows"]["tests"]] == ["tests/unit", "tests/nightly"]
    assert made["rows"]["env"]["LR"] == "1"
    assert "always" not in made["by-hand"]
    assert "allow_failure: here its failure counts" in [note.text for note in _left(files)]


def test_what_gitlab_includes_from_elsewhere_is_named() -> None:
    files = {".gitlab-ci.yml": "include: [{project: lab/ci, file: t.yml}]\nt: {script: [pytest tests]}\n"}
    assert [note.place.file for note in _left(files)] == [".gitlab-ci.yml"]


_CIRCLE = """\
version: 2.1
executors:
  gpu: {docker: [{image: lab/train:1}], resource_class: lab/gpu-4, environment: {MODE: fast}}
commands:
  go:
    parameters: {kind: {type: string, default: unit}}
    steps:
      - run: {name: test, command: "pytest tests/<< parameters.kind >>", environment: {A: "1"}}
jobs:
  unit:
    executor: gpu
    parameters: {kind: {type: string, default: unit}}
    steps:
      - checkout
      - run: pip install -e .
      - go: {kind: << parameters.kind >>}
  unused: {docker: [{image: x}], steps: [{run: pytest tests}]}
workflows:
  all:
    jobs:
      - unit: {matrix: {parameters: {kind: [unit, nightly]}}}
"""


def test_circleci_jobs_are_suites_with_their_commands_and_their_matrix() -> None:
    made = _suites({".circleci/config.yml": _CIRCLE})
    assert set(made) == {"unit", "changed"}
    assert [one["path"] for one in made["unit"]["tests"]] == ["tests/unit", "tests/nightly"]
    assert (made["unit"]["image"], made["unit"]["num_gpus"]) == ("lab/train:1", 4)
    assert made["unit"]["env"] == {"MODE": "fast"}
    assert all(one["env"] == {"A": "1"} for one in made["unit"]["tests"])


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        *(("ci/Jenkinsfile", "Jenkins"), (".ci/azure-pipelines-gpu.yml", "Azure"), (".travis.yml", "Travis")),
        (".own-ci/flows/gpu.yml", "this file"),
    ],
)
def test_a_ci_that_nobody_here_reads_is_named_where_it_is(file: str, kind: str) -> None:
    (note,) = _left({file: "sh 'pytest tests'", ".own-ci/other.yml": "on: push", ".pre-commit.yml": "pytest tests"})
    assert (note.place.file, f"what {kind}" in note.text) == (file, True)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("tox.ini", _TOX, ["tests/test_a.py", "tests/unit"]),
        ("noxfile.py", _NOX, ["tests/unit", "tests/test_a.py"]),
        ("Makefile", "P ?= pytest\ntest-unit:\n\t$(P) tests/unit\nbuild:\n\tpip wheel .\n", ["tests/unit"]),
    ],
)
def test_tox_nox_and_make_are_suites_where_no_ci_says_more(file: str, text: str, expected: list[str]) -> None:
    (suite,) = [suite for suite in _suites({file: text}).values() if "tests" in suite]
    assert [entry["path"] for entry in suite["tests"]] == expected
    assert set(_suites({file: text, **_workflow("pytest tests/nightly")})) == {"job", "changed"}


# --- tables and recipes

_TABLE = """\
from unittest import TestFile
suites = {
    "per-commit": [TestFile("test_a.py", 80), TestFile("gone.py", 3)],
    "per-commit-4-gpu": ["unit/test_b.py", ("nightly/test_c.py", 9)],
    "named": [{"file": "tests/run.sh", "num_gpus": 2}],
}
"""


def test_a_table_of_suites_in_python_is_its_suites_and_the_job_that_runs_one_gives_it_the_rest() -> None:
    files = {"tests/run_suite.py": _TABLE, **_workflow("cd tests && python run_suite.py --suite per-commit")}
    made = _suites(files)
    assert (made["per-commit"]["tests"], made["per-commit"]["num_gpus"]) == (["tests/test_a.py"], 8)
    assert made["per-commit-4-gpu"]["tests"] == ["tests/unit/test_b.py", "tests/nightly/test_c.py"]
    assert made["per-commit-4-gpu"]["num_gpus"] == 4
    assert made["named"]["tests"] == [{"path": "tests/run.sh", "num_gpus": 2}]
    notes = [(note.text, note.place.line) for note in _left(files)]
    assert ("gone.py of the suite per-commit: no such file", 3) in notes


_RECIPE = """\
type: basic
spec:
  model: gpt
  nodes: 1
  gpus: 8
  script_setup: bash /opt/lab/tests/run.sh
  script: |-
    rm -f "${{HOME}}/.netrc"
    cd /opt/lab
    LR={lr}
    bash ./tests/run.sh {model}/{test_case} ${{LR}} {assets_dir}/logs /opt/other/x
products:
  - test_case: [small, large]
    products:
      - {environment: [dev], scope: [mr, nightly], lr: ["3"], time_limit: [1800]}
  - {test_case: [wide], nodes: [2], scope: [mr]}
"""


def test_recipes_are_a_suite_for_each_scope_with_their_placeholders_filled() -> None:
    files = {"tests/recipes/h100/gpt.yaml": _RECIPE, "tests/recipes/_cleanup.yaml": _RECIPE}
    made = _suites(files)
    assert set(made) == {"mr", "nightly", "changed"}
    small, large = made["mr"]["tests"]
    assert (small["name"], large["name"], small["num_gpus"]) == ("small-dev", "large-dev", 8)
    assert small["timeout_minutes"] == 30
    lines = ["set -e", "cd .", "LR=3", "bash ./tests/run.sh gpt/small ${LR} ${ASSETS_DIR}/logs /opt/other/x"]
    assert small["command"] == ["bash", "-c", "\n".join(lines)]
    assert written({**_FILES, **files})["project"]["env"] == {"ASSETS_DIR": "assets_dir"}
    left = [note.text for note in _left(files)]
    assert "wide: 2 nodes, and trainci leases one host" in left
    assert "/opt/other, which these recipes name, is not in this repository" in left


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        (".gitlab-ci.yml", "t: {script: ['pytest tests/$CI_NODE_INDEX']}\n", "CI_NODE_INDEX"),
        (".circleci/config.yml", "jobs: {t: {steps: [{run: 'pytest tests -k $CIRCLE_TAG'}]}}\n", "CIRCLE_TAG"),
    ],
)
def test_a_variable_that_only_that_ci_sets_is_left_and_never_empty(file: str, text: str, name: str) -> None:
    (note,) = _left({file: text})
    assert note.text.startswith(f"{name} is known to ")
    assert "t" not in _suites({file: text})


def test_what_is_for_a_few_pull_requests_starts_when_what_it_names_changes() -> None:
    head = "on: pull_request\njobs:\n  job:\n    if: contains(github.event.pull_request.title, '[release]')\n"
    steps = "    steps: [{run: bash build.sh}, {run: pytest tests/test_a.py}]\n"
    files = {WORKFLOW: head + steps, "build.sh": "make\n"}
    suite = _suites(files)["job"]
    assert (suite["always"], suite["paths"]) == (True, ["build.sh", "tests/test_a.py", WORKFLOW])
    assert any("[release]" in note.text for note in _left(files))


def test_a_name_of_two_suites_that_start_it_in_different_ways_becomes_two() -> None:
    step = "- name: go\n        run: A=$HOME bash tests/run.sh"
    head = f"    runs-on: 8-gpu\n    steps:\n      {step}\n    env: {{ MODE: "
    jobs = "".join(f"  {name}:\n{head}{mode} }}\n" for name, mode in (("one", "a"), ("two", "b"), ("three", "a")))
    suites = _suites({WORKFLOW: f"on: push\njobs:\n{jobs}"})
    names = {name: [entry["name"] for entry in suite.get("tests", [])] for name, suite in suites.items()}
    assert names == {"one": ["go"], "two": ["go in two"], "three": ["go"], "changed": []}


@pytest.mark.parametrize(("said", "gpus"), [("", 8), ("RUNNER: 4-gpu", 4), ("RUNNER: ''", 8)])
def test_a_default_that_names_another_variable_is_read(said: str, gpus: int) -> None:
    script = 'R="${RUNNER:-$USUAL}"\ncat > m <<EOF\n{"include": [{"runner": "${R}"}]}\nEOF\n'
    env = f"    env: {{USUAL: 8-gpu, {said}}}\n    outputs: {{m: '${{{{ steps.x.outputs.m }}}}'}}\n"
    made = "".join(f"          {line}\n" for line in script.splitlines())
    first = f"  a:\n{env}    steps:\n      - id: x\n        run: |\n{made}"
    job = "    strategy: {matrix: '${{ fromJSON(needs.a.outputs.m) }}'}\n    runs-on: ${{ matrix.runner }}\n"
    second = f"  job:\n    needs: a\n{job}    steps: [{{run: pytest tests}}]\n"
    assert _suites({WORKFLOW: f"on: push\njobs:\n{first}{second}"})["job"].get("num_gpus") == gpus


def test_of_hidden_folders_only_what_may_be_a_cis_is_looked_at(tmp_path: Path) -> None:
    root, away = tmp_path / "repository", tmp_path / "away"
    names = [".own-ci/flows/gpu.yml", ".own-ci/flows/deep/d.yml", ".own-ci/notes.md", ".venv/a.yml"]
    for path in (*(root / name for name in [*names, ".github/b.txt", "tests/.x/c.yml"]), away / "secret.yml"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (root / ".own-ci/linked").symlink_to(away)
    (root / ".own-ci/link.yml").symlink_to(away / "secret.yml")
    assert repository_tree(root).files == (".github/b.txt", ".own-ci/flows/gpu.yml")
