"""What each source of ``init`` reads, piece by piece."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from proposals import proposed, suites, written

from trainci.adopt.github.conditions import Condition, read_condition
from trainci.adopt.github.expressions import Context, Unknown, evaluate, substitute
from trainci.adopt.placed import Items, Table, Text, load_yaml
from trainci.adopt.shell.script import commands
from trainci.adopt.sources.template import Template
from trainci.adopt.toml import render
from trainci.adopt.tools.makefile import recipe
from trainci.config import tables

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TESTS = {
    "tests/test_a.py": "def test_it(): pass\n",
    "tests/train.py": "print('trained')\n",
    "tests/run.sh": "# NUM_GPUS = 8\n",
    "tests/unit/test_b.py": "def test_it(): pass\n",
}


def _suites(files: dict[str, str]) -> dict[str, Any]:
    return suites({**_TESTS, **files})


def _job(run: str, **keys: str) -> dict[str, Any]:
    lines = "\n".join(f"          {line}" for line in run.splitlines())
    more = "".join(f"    {key.replace('_', '-')}: {value}\n" for key, value in keys.items())
    text = f"on: push\njobs:\n  job:\n    runs-on: 8-gpu\n{more}    steps:\n      - run: |\n{lines}\n"
    made = _suites({".github/workflows/ci.yml": text})
    return made.get("job", {})


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("pytest tests/test_a.py", [{"path": "tests/test_a.py", "runner": "pytest"}]),
        ("pytest tests/test_a.py::test_it", [{"path": "tests/test_a.py::test_it", "runner": "pytest"}]),
        (
            'pytest -s -m "not slow" tests/ -n 4',
            [{"path": "tests", "runner": "pytest", "args": ["-s", "-m", "not slow", "-n", "4"]}],
        ),
        (
            "python3 -m pytest -k tests tests/unit tests/test_a.py",
            [
                {"path": "tests/unit", "runner": "pytest", "args": ["-k", "tests"]},
                {"path": "tests/test_a.py", "runner": "pytest", "args": ["-k", "tests"]},
            ],
        ),
        ("python tests/test_a.py", ["tests/test_a.py"]),
        (
            "python -u tests/train.py --lr 1",
            [{"path": "tests/train.py", "runner": "python", "args": ["--lr", "1"]}],
        ),
        (
            "A=1 B='x y' bash tests/run.sh go",
            [{"path": "tests/run.sh", "args": ["go"], "env": {"A": "1", "B": "x y"}}],
        ),
        ("./tests/run.sh", ["tests/run.sh"]),
        ("export A=1\nunset B\nbash tests/run.sh", [{"path": "tests/run.sh", "env": {"A": "1", "B": ""}}]),
        ("NAME=big\nbash tests/run.sh out/${NAME}", [{"path": "tests/run.sh", "args": ["out/big"]}]),
        ("bash tests/run.sh ${MODE:-fast}", [{"path": "tests/run.sh", "args": ["fast"]}]),
        (
            "torchrun --standalone --nnodes=1 --nproc-per-node=4 tests/train.py --x",
            [{"path": "tests/train.py", "runner": "torchrun", "num_gpus": 4, "args": ["--x"]}],
        ),
        (
            "python -m torch.distributed.run --nproc_per_node 2 --master_port 1 tests/train.py",
            [{"path": "tests/train.py", "runner": "torchrun", "num_gpus": 2}],
        ),
        ("python -m tests.train --fast", [{"module": "tests.train", "args": ["--fast"]}]),
        ("cd tests && pytest unit", [{"path": "tests/unit", "runner": "pytest"}]),
        ("pytest tests/test_a.py 2>&1 | tee log.txt", [{"path": "tests/test_a.py", "runner": "pytest"}]),
        ("pytest tests/test_a.py || exit 1", [{"path": "tests/test_a.py", "runner": "pytest"}]),
        (
            "timeout 60 pytest \\\n  tests/test_a.py \\\n  -v",
            [{"path": "tests/test_a.py", "runner": "pytest", "args": ["-v"]}],
        ),
        (
            "python tests/ci/gpu_lock_exec.py --count 4 -- python tests/test_a.py",
            ["tests/test_a.py"],
        ),
        (
            "DATA=$HOME/data LR=1 bash tests/run.sh",
            [
                {
                    "command": ["bash", "-c", "export DATA=$HOME/data && exec bash tests/run.sh"],
                    "name": "tests-run.sh",
                    "env": {"LR": "1"},
                }
            ],
        ),
    ],
)
def test_a_command_of_a_step_becomes_an_entry(run: str, expected: list[Any]) -> None:
    assert _job(run)["tests"] == expected


@pytest.mark.parametrize(
    "run",
    [
        "pytest tests || true",
        "pytest tests | grep passed",
        "pytest tests &",
        'if [ -n "$GITHUB_REF" ]; then pytest tests; fi',
        "for x in $(ls); do bash tests/run.sh $x; done",
        "pytest ${{ needs.other.outputs.path }}/tests",
        "pytest tests/gone.py",
    ],
)
def test_a_test_that_cannot_stand_alone_is_left_with_its_line_and_never_lost(run: str) -> None:
    files = {**_TESTS, ".github/workflows/ci.yml": f"on: push\njobs:\n  tests:\n    steps:\n      - run: {run}\n"}
    proposal = proposed(files)
    assert ".github/workflows/ci.yml" in {note.place.file for note in proposal.left}
    assert "Left to you (.github/workflows/ci.yml:" in render(proposal)


_PAGE = (Path(__file__).parents[2] / "docs/adopting.md").read_text()
_ROWS = [
    pair
    for line in _PAGE.splitlines()
    if line.startswith("| `") and line.count(" | ") == 1
    for pair in zip(*(re.findall("`([^`]+)`", side) for side in line.split(" | ")), strict=False)
    if re.match(r"(?:[A-Z]+=\S+ )?(?:pytest|python|bash|torchrun) .*", pair[0]) and pair[1].startswith(("{", '"'))
]


def test_the_page_about_adopting_has_rows_to_hold_it_to() -> None:
    assert len(_ROWS) == 5


@pytest.mark.parametrize(("command", "entry"), _ROWS)
def test_a_row_of_the_page_about_adopting_is_what_init_makes_of_the_command(command: str, entry: str) -> None:
    files = {"tests/test_x.py": "def test_it(): pass\n", "tests/dist.py": "print()\n"}
    text = f"on: push\njobs:\n  job:\n    steps:\n      - run: |\n          pytest tests\n          {command}\n"
    tests = _suites({**files, ".github/workflows/ci.yml": text})["job"]["tests"]
    assert tests[1:] == tomllib.loads(f"entry = [{entry}]")["entry"]


def test_the_page_about_adopting_says_of_each_key_which_repository_needs_it() -> None:
    section = _PAGE.partition("## Which repository needs which key")[2]
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", section))))
    own = (tables.ProjectTable, tables.SuiteTable, tables.EntryTable, tables.WorkflowTable, tables.CatalogTable)
    keys = {key for table in own for key in table.model_fields} | {"affected", "accept"}
    assert keys <= named | {"path"}, sorted(keys - named)


def test_lines_before_the_tests_prepare_them_in_their_order() -> None:
    suite = _job(
        "pip install -r requirements.txt\nray stop --force\nPIP=1 pip install -e . --no-deps\n"
        "python examples/data_preprocess/gsm8k.py --out ${HOME}/d\npytest tests"
    )
    assert suite["setup"] == ["pip install -r requirements.txt"]
    assert suite["install"] == (
        "export PIP=1 && pip install -e . --no-deps && python examples/data_preprocess/gsm8k.py --out ${HOME}/d"
    )


def test_steps_that_use_what_the_one_before_left_are_steps_of_one_entry() -> None:
    (entry, alone) = _job(
        "SAVE=1 bash tests/run.sh\nRESUME_MODE=auto bash tests/run.sh\n"
        "python -m trainer.merge --dir checkpoints/x/actor\nRESUME_MODE=disable bash tests/run.sh"
    )["tests"]
    assert [step.get("module", step.get("path")) for step in entry["steps"]] == [
        "tests/run.sh",
        "tests/run.sh",
        "trainer.merge",
    ]
    assert alone == {"path": "tests/run.sh", "env": {"RESUME_MODE": "disable"}}


def test_the_same_test_may_stand_in_two_suites_and_a_name_stands_for_one_entry() -> None:
    text = """\
on: push
jobs:
  a: {runs-on: x, steps: [{name: one, run: A=$HOME bash tests/run.sh}, {run: pytest tests/unit}]}
  b: {runs-on: x, steps: [{name: one, run: A=$HOME bash tests/run.sh}, {name: one, run: B=$HOME bash tests/run.sh}]}
"""
    suites = _suites({".github/workflows/ci.yml": text})
    names = {name: [entry.get("name") for entry in suite.get("tests", [])] for name, suite in suites.items()}
    assert names == {"a": ["one", None], "b": ["one", "one in b"], "changed": []}


def test_a_matrix_gives_an_entry_for_each_combination_and_its_switches_as_env() -> None:
    text = """\
on: push
jobs:
  job:
    runs-on: 8-gpu
    strategy:
      matrix:
        info: [{file: test_a.py, fp8: "0"}, {file: unit/test_b.py, args: "--a  'b c'"}, {file: test_a.py, gpus: 2}]
    env:
      FP8: ${{ matrix.info.fp8 || '1' }}
    steps:
      - run: python "$(./where ${{ matrix.info.file }})"
"""
    (job, _) = _suites({".github/workflows/ci.yml": text}).values()
    assert job["env"] == {"FP8": "1"}
    assert job["tests"] == [
        {"path": "tests/test_a.py", "env": {"FP8": "0"}},
        {"path": "tests/unit/test_b.py", "args": ["--a", "'b", "c'"]},
        {"path": "tests/test_a.py", "num_gpus": 2},
    ]
    by_name = text.replace('"$(./where ${{ matrix.info.file }})"', "tests/${{ matrix.info.file }}")
    (job, _) = _suites({".github/workflows/ci.yml": by_name}).values()
    assert job["tests"][-1] == {"path": "tests/test_a.py", "num_gpus": 2}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("matrix.a || '1'", "0"),  # the text "0" is true, the number 0 is not
        ("matrix.b || '1'", "1"),
        ("matrix.gone || '1'", "1"),
        ("github.event_name == 'workflow_dispatch' && inputs.x || 'no'", "no"),
        ("needs.a.outputs.b || 'L20x8'", "L20x8"),
        ("needs.a.outputs.b && 'one' || 'two'", None),
        ("fromJSON('[\"a\", 1]')[1]", "1"),
        ("format('{0}-{1}', 'a', matrix.a)", "a-0"),
        ("!matrix.b", "true"),
        ("'it''s'", "it's"),
        ("github.sha", None),
        ("secrets.X", None),
        ("a b", None),
        ("((((", None),
    ],
)
def test_an_expression_has_the_value_that_github_gives_it_for_a_pull_request(
    source: str, expected: str | None
) -> None:
    matrix = Table({"a": Text("0", 1, quoted=True), "b": Text("0", 1)})
    value = evaluate(source, Context({"matrix": matrix}))
    assert (None if isinstance(value, Unknown) else str(value)) == expected


def test_a_long_value_that_stands_often_is_filled_in_so_far() -> None:
    context = Context({"env": Table({"A": Text("x" * 30_000, 1)})})
    text, unknown = substitute(Text("${{ env.A }} " * 9, 1), context)
    assert unknown == ("${{ env.A }}",) * 7 and len(text) < 70_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("contains(github.event.pull_request.labels.*.name, 'x y')", Condition(("x y",))),
        (
            "(github.event_name == 'push') || contains(github.event.pull_request.labels.*.name, 'a')",
            Condition(("a",)),
        ),
        ("github.event.pull_request.draft == false && always()", Condition(drafts=False)),
        (
            "${{ github.repository_owner == 'lab' && !cancelled() }}",
            Condition(guards=("github.repository_owner == 'lab'",)),
        ),
        ("needs.a.outputs.b == 'true'", Condition(rest="needs.a.outputs.b == 'true'")),
        (
            "!contains(github.event.pull_request.labels.*.name, 'skip')",
            Condition(rest="!contains(github.event.pull_request.labels.*.name, 'skip')"),
        ),
        ("", Condition()),
    ],
)
def test_a_condition_gives_labels_and_drafts_and_keeps_the_rest(text: str, expected: Condition) -> None:
    assert read_condition(text) == expected


def test_yaml_stays_as_it_is_written_and_knows_its_lines() -> None:
    document = load_yaml("on: push\nversion: 3.10\nrun: |\n  # first\n  pytest\nlist: [0, 'no']\n")
    assert isinstance(document, Table)
    assert (document["on"], document["version"]) == ("push", "3.10")
    assert (document.text("run").line, document.line) == (4, 1)
    assert isinstance(items := document["list"], Items)
    assert [(str(one), getattr(one, "quoted", None)) for one in items] == [("0", False), ("no", True)]


def test_each_line_of_a_template_written_out_knows_its_line_there() -> None:
    template = Template("<% set a = ['x', 'y'] %>\n<% for one in a %>\nline << one >>\n<% endfor %>\nend\n")
    lines = template.text.splitlines()
    assert [template.lines[lines.index(text)] for text in ("line x", "line y", "end")] == [3, 3, 5]


def test_a_rule_of_make_is_read_only_when_it_is_plain() -> None:
    makefile = "test: build\n\t@pytest tests\n\techo $$HOME\n\nother:\n\tpytest $(FLAGS) tests\n"
    assert recipe(makefile, ("test",)) == "pytest tests\necho $HOME"
    assert recipe(makefile, ("other",)) == recipe(makefile, ("gone",)) == ""
    assert recipe(f"FLAGS ?= -x # said\n{makefile}", ("other",)) == "pytest -x tests"
    chosen = 'all:\n\t$(MAKE) a\na:\n\tpytest a $(if $(CI),--log "$(NAME).log",-q)\n'
    assert recipe(chosen, ("all",)) == "make a"
    assert recipe(chosen, ("a",)) == "pytest a -q"
    assert recipe(chosen, ("a",), (("CI", "1"), ("NAME", "b"))) == 'pytest a --log "b.log"'
    assert recipe(chosen, ("a",), (("CI", "1"),)) == ""
    looked_for = 'RUN := $(shell command -v uv && echo "uv run" || echo)\nall:\n\tA=1 $(RUN) pytest a\n'
    assert recipe(looked_for, ("all",)) == ""
    assert recipe(looked_for, ("all",), roughly=True) == "A=1  pytest a"


def test_a_command_knows_its_line_and_its_folder() -> None:
    first, second = commands("\n# said\ncd a/b # there\npytest \\\n  x\n\ncd ..\npytest y\n", 10)
    assert (first.words, first.line, first.folder) == (("pytest", "x"), 13, "a/b")
    assert (second.line, second.folder) == (17, "a")


def test_commands_run_where_the_workflow_that_holds_them_says() -> None:
    """A job's folder comes before its workflow's, and a workflow that is called has its own."""
    defaults = "defaults: {run: {working-directory: %s}}\n"
    step = "    runs-on: 8-gpu\n    steps: [{run: pytest test_b.py}]\n"
    made = _suites(
        {
            ".github/workflows/ci.yml": (
                f"on: push\n{defaults % 'tests/unit'}jobs:\n  plain:\n{step}"
                f"  own:\n    {defaults % 'tests/other'}{step}"
                "  calls:\n    uses: ./.github/workflows/called.yml\n"
            ),
            ".github/workflows/called.yml": f"on: workflow_call\n{defaults % 'tests/called'}jobs:\n  job:\n{step}",
            **{f"tests/{folder}/test_b.py": "def test_it(): pass\n" for folder in ("other", "called")},
        }
    )
    paths = {name: [entry["path"] for entry in suite["tests"]] for name, suite in made.items() if "tests" in suite}
    assert paths == {
        "plain": ["tests/unit/test_b.py"],
        "own": ["tests/other/test_b.py"],
        "calls": ["tests/called/test_b.py"],
    }


def test_paths_branches_schedule_container_and_limits_of_a_job_are_carried_over() -> None:
    text = """\
on:
  pull_request:
    branches: [main, "v0.*"]
    paths: ["src/**.py", "!src/docs/**"]
  schedule: [{cron: "0 3 * * *"}]
jobs:
  job:
    runs-on: [self-hosted, 4-gpu]
    timeout-minutes: 90
    container: {image: "lab/x:1", options: --gpus all --ipc=host, volumes: ["/data:/data"]}
    env: {TOKEN: "${{ secrets.TOKEN }}", OTHER: "${{ secrets.NAMED_ELSE }}", PLAIN: 1}
    steps: [{run: pytest tests}]
"""
    files = {**_TESTS, ".github/workflows/ci.yml": text}
    document = written(files)
    suite = document["suites"]["job"]
    assert (suite["branches"], suite["schedule"], suite["timeout_minutes"]) == (["main", "v0.*"], "0 3 * * *", 90)
    assert (suite["paths"], suite["paths_ignore"]) == (["src/**/*.py"], ["src/docs/**"])
    assert (suite["image"], suite["num_gpus"], suite["always"]) == ("lab/x:1", 4, True)
    assert (suite["env"], suite["secrets"]) == ({"PLAIN": "1"}, ["TOKEN", "OTHER"])
    assert document["workflow"] == {
        "runs_on": ["self-hosted", "4-gpu"],
        "mounts": ["/data:/data"],
        "container_options": "--gpus all --ipc=host",
    }


def _notes(steps: str) -> list[str]:
    job = "    runs-on: 8-gpu\n    strategy: {matrix: {a: [x, y]}}\n"
    text = f"on: pull_request\njobs:\n  job:\n{job}    steps:\n{steps}"
    every = {**_TESTS, ".github/workflows/ci.yml": text}
    proposal = proposed(every)
    entries = [f"{entry.path} {' '.join(entry.args)}".strip() for suite in proposal.suites for entry in suite.tests]
    return [*entries, *(note.text for note in proposal.left)]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("{if: matrix.a == 'x', run: pytest tests/unit -k x}", ["tests/unit -k x"]),
        ("{if: always(), run: pytest tests/unit}", ["tests/unit"]),
        ("{if: failure(), run: pytest tests/unit}", None),
        (
            "{if: github.event_name == 'schedule', run: pytest tests/unit}",
            ["tests/unit", "if: github.event_name == 'schedule': the step runs its tests only then"],
        ),
        (
            "{if: steps.a.outputs.b == '1', run: pytest tests/unit}",
            ["tests/unit", "if: steps.a.outputs.b == '1': the step runs its tests only then"],
        ),
        (
            "{continue-on-error: true, run: pytest tests/unit}",
            ["tests/unit", "continue-on-error: here its failure counts"],
        ),
    ],
)
def test_a_steps_condition_keeps_it_to_its_combination_or_is_said(step: str, said: list[str] | None) -> None:
    found = _notes(f"      - {step}\n")
    assert found == said if said is not None else "tests/unit" not in found


def test_a_steps_time_limit_is_that_of_its_tests() -> None:
    text = "on: push\njobs: {job: {runs-on: 1-gpu, steps: [{run: pytest tests, timeout-minutes: 30}]}}\n"
    assert _suites({".github/workflows/ci.yml": text})["job"]["tests"][0]["timeout_minutes"] == 30


def test_a_template_comes_before_the_workflow_that_it_once_gave() -> None:
    template = "on: push\njobs:\n  unit: {runs-on: x, steps: [{run: pytest tests/unit}]}\n"
    stale = "on: push\njobs:\n  stale: {runs-on: x, steps: [{run: pytest tests/test_a.py}]}\n"
    suites = _suites({".github/workflows/ci.yml.j2": template, ".github/workflows/ci.yml": stale})
    assert list(suites) == ["unit", "changed"]


def test_without_a_ci_the_tests_of_pytest_or_the_files_are_proposed() -> None:
    assert _suites({})["tests"]["tests"] == ["tests/test_a.py", "tests/unit/test_b.py"]
    config = {"pytest.ini": "[pytest]\ntestpaths = tests\n"}
    assert _suites(config)["pytest"]["tests"] == [{"path": "tests", "runner": "pytest"}]


def test_a_glob_of_init_takes_in_no_folder_of_data_that_is_called_as_tests_are() -> None:
    test, data = "def test_it(): pass\n", "x = 1\n"
    alike = {"tests/test_a/test_one.py": test, "tests/data/test_config.py": data}
    listed = {"tests/a/test_one.py": test, "tests/test_top.py": test, "tests/data/test_config.py": data}
    assert proposed({**alike, "own/hooks/test_hook.py": data}).project.tests == ("tests/test_*/**/test_*.py",)
    assert proposed(listed).project.tests == ("tests/test_*.py", "tests/a/**/test_*.py")
    assert proposed({"tests/a/test_one.py": test, "tests/a/test_data.py": data}).project.tests == (
        "tests/**/test_*.py",
    )
