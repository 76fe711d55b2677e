"""What a CI says in ways of its own: commands handed to other machines, workflows that call workflows, matrices."""

from __future__ import annotations

from typing import Any

import pytest
from proposals import WORKFLOW, job, proposed, run, suites, written

from trainci.adopt.proposal import Proposal
from trainci.adopt.toml import render

_FILES = {
    "tests/test_a.py": "def test_it(): pass\n",
    "tests/test_b.py": "def test_it(): pass\n",
    "tests/run.sh": "true\n",
    "tests/utils/plot_results.py": "print()\n",
    "tests/utils/check_names.py": "print()\n",
}


def _proposal(files: dict[str, str]) -> Proposal:
    return proposed({**_FILES, **files})


def _suites(files: dict[str, str]) -> dict[str, Any]:
    return suites({**_FILES, **files})


def _left(files: dict[str, str]) -> list[str]:
    return [note.text for note in _proposal(files).left]


_A = {"path": "tests/test_a.py", "runner": "pytest"}
_B = {"path": "tests/test_b.py", "runner": "pytest"}


# --- arrays and here strings of bash


def test_an_array_of_constants_is_its_values() -> None:
    files = run("tests=(tests/test_a.py)", 'tests+=("tests/test_b.py")', 'pytest "${tests[@]}"')
    assert _suites(files)["job"]["tests"] == [_A, _B]
    loop = run(
        "tests=(tests/test_a.py", "  tests/test_b.py)", 'for one in "${tests[@]}"; do', "  pytest $one", "done"
    )
    assert _suites(loop)["job"]["tests"] == [_A, _B]


def test_an_array_that_only_a_run_knows_goes_with_the_command() -> None:
    (entry,) = _suites(run("tests=($(ls tests))", 'pytest "${tests[@]}"'))["job"]["tests"]
    assert entry["command"][2] == 'export tests=($(ls tests)) && exec pytest "${tests[@]}"'


def test_an_array_that_a_condition_adds_to_is_left() -> None:
    """Without what it adds, the command would run every test there is."""
    files = run("tests=()", "if ./more; then tests+=(tests/test_a.py); fi", 'pytest "${tests[@]}"')
    assert "changed" not in _suites(files) or not _suites(files)["changed"].get("tests")
    assert any("tests is set in a loop, a condition" in text for text in _left(files))


def test_a_here_string_begins_no_here_document() -> None:
    files = run('IFS=, read -ra cases <<< "$CASES"', "pytest tests/test_a.py")
    assert _suites(files)["job"]["tests"] == [_A]


# --- commands that another program starts


def test_a_command_that_is_handed_on_is_the_test_with_what_it_is_given() -> None:
    files = run(
        "exec queue run --workspace ${{ env.WORKSPACE }} --queue-image lab/train:1 --gpus 2 \\",
        "  --env 'MODE=fast' -- pytest -m gpu \\",
        "  tests/test_a.py",
    )
    suite = _suites(files)["job"]
    assert suite["image"] == "lab/train:1"
    assert suite["tests"] == [{**_A, "args": ["-m", "gpu"], "num_gpus": 2, "env": {"MODE": "fast"}}]


def test_what_a_shell_must_still_fill_in_is_kept_of_a_command_that_is_handed_on() -> None:
    (entry,) = _suites(run("queue run --id $ID -- pytest tests/test_a.py --out $OUT"))["job"]["tests"]
    assert entry["command"][2] == "exec pytest tests/test_a.py --out $OUT"


@pytest.mark.parametrize(
    "command",
    [
        'python ci/start.py "$IMAGE" "pytest tests"',
        "start-job pytest tests",
        "./launch --then 'python -m pytest tests'",
        "with-lock bash tests/run.sh",
    ],
)
def test_a_command_that_speaks_of_tests_is_never_lost_without_a_word(command: str) -> None:
    files = run("pytest tests/test_a.py", command)
    first, *others = _suites(files)["job"]["tests"]
    assert first == _A
    assert others or any(text.startswith("not read as a test: ") for text in _left(files)), _left(files)
    assert any(text.startswith("not read as a test: ") for text in _left(run(command)))


@pytest.mark.parametrize(
    "command",
    [
        "pip install pytest",
        "which pytest",
        "pytest --version",
        "echo pytest tests",
        "torchrun tools/convert.py",
        'python tests/ci/lock.py --count "$N" -- python "$TEST"',
    ],
)
def test_a_command_that_only_names_pytest_is_no_test_that_is_left(command: str) -> None:
    assert not [text for text in _left(run(command, "pytest tests/test_a.py")) if "not read" in text]


def test_a_script_that_stands_in_a_here_document_is_said_to_be_left() -> None:
    files = run("script=$(cat <<'EOF'", "bash tests/run.sh", "EOF", ")", 'echo "$script" > job.sh', "bash job.sh")
    assert _left(files) == ["not read as a test: bash tests/run.sh"]


def test_a_goal_of_make_is_no_test_for_what_its_variables_say() -> None:
    files = run("make image CHANNEL=whl/test")
    assert "job" not in _suites(files)
    assert _suites(run("make unit-tests"))["job"]["tests"] == [
        {"command": ["make", "unit-tests"], "name": "make-unit-tests"}
    ]


def test_a_tool_below_tests_is_no_test_and_a_check_is_one() -> None:
    assert _suites(run("python tests/utils/check_names.py"))["job"]["tests"][0]["path"].endswith("check_names.py")
    assert "job" not in _suites(run("python tests/utils/plot_results.py"))


# --- conditions and environment


def test_a_step_whose_condition_a_run_writes_is_not_off() -> None:
    files = job("      - if: env.RUN_IT == 'true'\n        run: pytest tests/test_a.py\n")
    assert _suites(files)["job"]["tests"] == [_A]
    assert any("env.RUN_IT == 'true'" in text for text in _left(files))


def test_a_step_whose_condition_a_constant_decides_is_off() -> None:
    head = "    env:\n      RUN_IT: 'false'\n"
    step = "      - if: env.RUN_IT == 'true'\n        run: pytest tests/test_a.py\n"
    more = "      - run: pytest tests/test_b.py\n"
    assert _suites(job(step + more, head))["job"]["tests"] == [_B]


# --- matrices


def test_what_another_combination_of_the_matrix_does_prepares_no_test() -> None:
    head = "    strategy:\n      matrix:\n        run: ['ruff check .', 'pytest tests/test_a.py']\n"
    suite = _suites(job("      - run: pip install -r dev.txt\n      - run: ${{ matrix.run }}\n", head))["job"]
    assert suite["setup"] == ["pip install -r dev.txt"]


def test_the_same_tests_under_another_set_up_are_said_and_other_tests_get_a_suite_of_their_own() -> None:
    head = "    strategy:\n      matrix:\n        torch: ['2.9', '2.8']\n"
    same = job("      - run: pip install torch==${{ matrix.torch }}\n      - run: pytest tests/test_a.py\n", head)
    assert _suites(same)["job"]["setup"] == ["pip install torch==2.9"]
    assert any("prepared with `pip install torch==2.8`" in text for text in _left(same))
    head = "    strategy:\n      matrix:\n        part: [a, b]\n"
    steps = (
        "      - run: pip install -r ${{ matrix.part }}.txt\n      - run: pytest tests/test_${{ matrix.part }}.py\n"
    )
    suites = _suites(job(steps, head))
    assert [(suite["setup"], suite["tests"]) for name, suite in suites.items() if name.startswith("job")] == [
        (["pip install -r a.txt"], [_A]),
        (["pip install -r b.txt"], [_B]),
    ]


def test_the_python_that_any_action_sets_up_is_the_suites() -> None:
    steps = "      - uses: someone/setup-uv@v6\n        with: {python-version: '3.12'}\n"
    steps += "      - run: pytest tests/test_a.py\n"
    assert _suites(job(steps))["job"]["python_version"] == "3.12"


def test_tests_on_another_system_are_said_beside_those_on_linux() -> None:
    head = "    strategy:\n      matrix:\n        os: [ubuntu-latest, macos-14]\n"
    files = job("      - run: pytest tests/test_a.py\n", head)
    files[WORKFLOW] = files[WORKFLOW].replace("runs-on: ubuntu-latest", "runs-on: ${{ matrix.os }}")
    assert "runs on macos-14, where trainci does not" in render(_proposal(files))


# --- workflows that call workflows


def _called(inner: str, **middle: str) -> dict[str, str]:
    """A workflow that calls one that calls one; ``middle`` are the inputs that the second gives the third."""
    given = "".join(f"      {key}: {value}\n" for key, value in middle.items())
    declared = "".join(f"      {key}: {{type: string}}\n" for key in middle)
    strategy = "    strategy:\n      matrix:\n        part: [a, b]\n"
    call = "on: {workflow_call: {inputs: {flavor: {type: string}}}}\njobs:\n  second:\n"
    call += "    uses: ./.github/workflows/c.yml\n"
    head = f"on:\n  workflow_call:\n    inputs:\n{declared}" if middle else "on: workflow_call\n"
    return {
        WORKFLOW: f"on: push\njobs:\n  first:\n    uses: ./.github/workflows/b.yml\n{strategy}"
        "    with:\n      flavor: ${{ matrix.part }}\n",
        ".github/workflows/b.yml": f"{call}    with:\n{given}" if middle else call,
        ".github/workflows/c.yml": f"{head}jobs:\n  third:\n    runs-on: ubuntu-latest\n{inner}",
    }


def test_a_workflow_that_calls_a_workflow_is_read_to_the_end() -> None:
    files = _called(
        "    steps:\n      - run: pytest tests/test_${{ inputs.part }}.py\n", part="${{ inputs.flavor }}"
    )
    assert _suites(files)["first"]["tests"] == [_A, _B]


def test_a_condition_on_an_input_is_decided_by_what_the_matrix_gives() -> None:
    step = "    steps:\n      - if: inputs.part == 'b'\n        run: pytest tests/test_${{ inputs.part }}.py\n"
    assert _suites(_called(step, part="${{ inputs.flavor }}"))["first"]["tests"] == [_B]


def test_an_input_is_looked_up_in_a_table_that_stands_in_the_workflow() -> None:
    table = '>-\n        ${{ fromJSON(\'{"a": "tests/test_b.py", "b": "tests/test_a.py"}\')[inputs.flavor] }}'
    files = _called("    steps:\n      - run: pytest ${{ inputs.file }}\n", file=table)
    assert _suites(files)["first"]["tests"] == [_B, _A]


def test_a_called_job_that_never_runs_is_none_and_one_that_a_run_decides_says_so() -> None:
    step = "    steps:\n      - run: pytest tests/test_a.py\n"
    assert "first" not in _suites(_called(f"    if: inputs.part == 'b'\n{step}", part="'a'"))
    files = _called(f"    if: needs.x.outputs.go == 'yes'\n{step}")
    assert _suites(files)["first"]["tests"] == [_A]
    assert any("needs.x.outputs.go == 'yes'" in text for text in _left(files))


def test_workflows_that_call_each_other_end() -> None:
    files = {
        WORKFLOW: "on: push\njobs:\n  test:\n    uses: ./.github/workflows/b.yml\n",
        ".github/workflows/b.yml": "on: workflow_call\njobs:\n  test:\n    uses: ./.github/workflows/b.yml\n",
    }
    assert any("the job test runs no test that could be read" in text for text in _left(files))


def test_options_of_a_container_that_only_a_run_knows_are_left() -> None:
    head = "    container:\n      image: lab/train:1\n      options: --shm-size ${{ vars.SIZE }}\n"
    files = job("      - run: pytest tests/test_a.py\n", head)
    assert "vars.SIZE" not in str(written({**_FILES, **files}))
    assert any("container options --shm-size" in text for text in _left(files))


# --- tools that run what a project names


_HATCH = """\
[tool.hatch.envs.default.scripts]
all = "pytest {args:tests/test_a.py}"
[tool.hatch.envs.gpu.scripts]
check = ["all tests/test_b.py", "pytest -m gpu {args:tests/test_b.py}"]
[tool.hatch.envs.hatch-test]
default-args = ["tests/test_b.py"]
"""
_PDM = """\
[tool.pdm.scripts]
unit = "pytest tests/test_a.py"
words = {cmd = ["pytest", "-m", "not slow", "tests/test_b.py"], env = {MODE = "fast"}}
whole = {composite = ["unit", "words"]}
"""
_POE = """\
[tool.poe.tasks]
unit = "pytest tests/test_a.py"
[tool.poe.tasks.whole]
sequence = ["unit", {cmd = "pytest tests/test_b.py"}]
"""
_PIXI = """\
[tasks]
unit = "pytest tests/test_a.py"
[feature.gpu.tasks]
gpu = {cmd = "pytest -m gpu tests/test_b.py", depends-on = ["unit"]}
"""
_JUST = """\
runner := "pytest"
test path="tests/test_a.py" *options:
    @echo testing
    {{runner}} {{path}} {{options}}
other:
    #!/usr/bin/env python
    print()
"""
_FAST = {**_B, "args": ["-m", "not slow"], "env": {"MODE": "fast"}}


@pytest.mark.parametrize(
    ("command", "file", "text", "python", "expected"),
    [
        ("hatch run all", "pyproject.toml", _HATCH, "hatch run python", [_A]),
        ("hatch run all tests/test_b.py", "pyproject.toml", _HATCH, "hatch run python", [_B]),
        ("hatch run gpu:pytest tests/test_b.py", "pyproject.toml", _HATCH, "hatch run gpu:python", [_B]),
        ("hatch -e gpu run pytest tests/test_b.py", "pyproject.toml", _HATCH, "hatch -e gpu run python", [_B]),
        ("hatch test", "pyproject.toml", _HATCH, "", [_B]),
        ("hatch test tests/test_a.py", "pyproject.toml", _HATCH, "", [_A]),
        ("pdm run unit", "pyproject.toml", _PDM, "pdm run python", [_A]),
        ("pdm run whole", "pyproject.toml", _PDM, "pdm run python", [_A, _FAST]),
        ("rye run unit", "pyproject.toml", _PDM.replace("pdm", "rye"), "rye run python", [_A]),
        ("poe whole", "pyproject.toml", _POE, "", [_A, _B]),
        ("uv run poe unit", "pyproject.toml", _POE, "uv run python", [_A]),
        ("poetry run pytest tests/test_a.py", "pyproject.toml", "", "poetry run python", [_A]),
        ("uv run --group ci pytest tests/test_a.py", "pyproject.toml", "", "uv run --group ci python", [_A]),
        ("pixi run unit", "pixi.toml", _PIXI, "pixi run python", [_A]),
        ("pixi run -e gpu gpu", "pixi.toml", _PIXI, "pixi run -e gpu python", [{**_B, "args": ["-m", "gpu"]}]),
        ("just test", "justfile", _JUST, "", [_A]),
        ("just test tests/test_b.py -x", "justfile", _JUST, "", [{**_B, "args": ["-x"]}]),
    ],
)
def test_a_script_that_the_project_names_is_what_it_runs(
    command: str, file: str, text: str, python: str, expected: list[Any]
) -> None:
    suite = _suites({**run(command), file: text})["job"]
    assert (suite["tests"], suite.get("python", "")) == (expected, python)


@pytest.mark.parametrize(
    "command", ["just test", "poe test", "pdm run test", "tox -e unit", "nox -s unit", "rye test", "pixi run test"]
)
def test_a_task_that_cannot_be_told_is_left_to_its_tool(command: str) -> None:
    (entry,) = _suites(run(command))["job"]["tests"]
    assert entry["command"] == command.split()


@pytest.mark.parametrize("command", ["tox -e lint", "nox -s docs", "pdm run ruff check tests", "just build"])
def test_a_task_of_another_kind_is_no_test(command: str) -> None:
    assert _suites(run(command, "pytest tests/test_a.py"))["job"]["tests"] == [_A]


_TOX_TOML = """\
[env_run_base]
deps = ["pytest>=8"]
commands = [["pytest", { replace = "posargs", default = ["tests/test_a.py"], extend = true }]]
[env.gpu]
set_env = { MODE = "fast" }
commands = [["pytest", "-m", "gpu or slow", "tests/test_b.py"]]
"""
_TOX_INI = """\
[testenv]
deps =
    pytest
    gpu: torch
commands =
    gpu: pytest -m gpu tests/test_b.py
    !gpu: pytest {posargs:tests/test_a.py} --seed {env:SEED:3}
[testenv:again]
commands = {[testenv:all]commands}
[testenv:all]
commands = pytest tests/test_b.py
"""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tox.toml", _TOX_TOML),
        ("pyproject.toml", _TOX_TOML.replace("[env", "[tool.tox.env")),
    ],
)
def test_the_toml_of_tox_is_read(file: str, text: str) -> None:
    suite = _suites({**run("tox -e py312"), file: text})["job"]
    assert (suite["setup"], suite["tests"]) == (["pip install 'pytest>=8'"], [_A])
    (entry,) = _suites({**run("tox --env=gpu"), file: text})["job"]["tests"]
    assert entry == {**_B, "args": ["-m", "gpu or slow"], "env": {"MODE": "fast"}}


@pytest.mark.parametrize("file", ["tox.ini", "pyproject.toml"])
def test_what_tox_says_for_a_factor_and_by_reference_is_read(file: str) -> None:
    text = _TOX_INI if file == "tox.ini" else f'[tool.tox]\nlegacy_tox_ini = """\n{_TOX_INI}"""\n'
    suite = _suites({**run("tox -e py312-gpu"), file: text})["job"]
    assert (suite["setup"], suite["tests"]) == (["pip install pytest torch"], [{**_B, "args": ["-m", "gpu"]}])
    assert _suites({**run("tox -e py312"), file: text})["job"]["tests"] == [{**_A, "args": ["--seed", "3"]}]
    assert _suites({**run("tox -e again"), file: text})["job"]["tests"] == [_B]


# --- pipelines, and commands that are waited for


def test_tests_behind_xargs_are_the_whole_pipeline() -> None:
    (entry,) = _suites(run("find tests -name 'test_*.py' | grep -v slow | xargs -n 1 pytest -x"))["job"]["tests"]
    assert entry["command"] == [
        "bash",
        "-c",
        "exec find tests -name 'test_*.py' | grep -v slow | xargs -n 1 pytest -x",
    ]


def test_tests_further_on_in_a_pipeline_are_said_to_be_left() -> None:
    files = run("cat answers.txt | pytest tests/test_a.py")
    assert any(
        "it is piped into `pytest tests/test_a.py`: cat answers.txt | pytest" in text for text in _left(files)
    )


@pytest.mark.parametrize("wait", ["wait $!", 'TEST=$!\nwait "$TEST"'])
def test_a_test_that_is_waited_for_at_once_is_a_test(wait: str) -> None:
    assert _suites(run("pytest tests/test_a.py &", *wait.splitlines()))["job"]["tests"] == [_A]


def test_a_test_that_runs_beside_others_is_left() -> None:
    files = run("pytest tests/test_a.py &", "pytest tests/test_b.py", "wait")
    assert any("it runs in the background" in text for text in _left(files))


# --- machines, environments and reports


@pytest.mark.parametrize(
    ("label", "gpus"),
    [
        ("linux.g5.12xlarge.nvidia.gpu", 4),
        ("linux.g6.4xlarge.experimental.nvidia.gpu", 1),
        ("linux.p4d.24xlarge", 8),
        ("l20-8", 8),
        ("big-h100-4", 4),
        ("linux.rocm.gpu.mi350.1", 1),
        ("910b-8", 8),
        ("aws-g4dn-2xlarge", 1),
        ("aws-g5-12xlarge-cache", 4),
        ("linux-aarch64-a3-16", 16),
        ("linux-arm-npu-2", 2),
        ("rack-22-225-h100", None),
        ("l20-3", None),
    ],
)
def test_a_runner_says_how_many_devices_it_has(label: str, gpus: int | None) -> None:
    files = run("pytest tests/test_a.py")
    files[WORKFLOW] = files[WORKFLOW].replace("ubuntu-latest", label)
    assert _suites(files)["job"].get("num_gpus") == gpus


@pytest.mark.parametrize(
    ("before", "python"),
    [
        ("conda activate own", "conda run --no-capture-output -n own python"),
        ("source activate own", "conda run --no-capture-output -n own python"),
        (
            "source /opt/miniconda3/bin/activate own",
            "/opt/miniconda3/bin/conda run --no-capture-output -n own python",
        ),
        ("micromamba activate /envs/own", "micromamba run -p /envs/own python"),
        ("conda activate own\nconda deactivate", ""),
        ("export PATH=/opt/venv/bin:$PATH", "/opt/venv/bin/python"),
        ("export PATH=/opt/rh/gcc-10/usr/bin/:$PATH", ""),
    ],
)
def test_the_environment_that_a_script_activates_is_the_python_of_its_tests(before: str, python: str) -> None:
    suite = _suites(run(*before.splitlines(), "pytest tests/test_a.py"))["job"]
    assert (suite.get("python", ""), suite["tests"]) == (python, [_A])


def test_tools_first_on_path_are_said_to_be_left() -> None:
    files = run("export PATH=/opt/rh/gcc-10/usr/bin/:$PATH", "pytest tests/test_a.py", "pytest tests/test_b.py")
    assert _suites(files)["job"]["tests"] == [_A, _B]
    assert len([text for text in _left(files) if "first on PATH" in text]) == 1


def test_a_shell_command_in_an_environment_is_started_by_its_launcher() -> None:
    (entry,) = _suites(run("conda activate own", "pytest tests/test_a.py --out $OUT"))["job"]["tests"]
    assert entry["command"][:6] == ["conda", "run", "--no-capture-output", "-n", "own", "bash"]


def test_where_a_report_goes_keeps_no_test_back() -> None:
    files = run("pytest tests/test_a.py --alluredir=/reports/${{ github.run_id }} --junitxml=out.xml")
    assert _suites(files)["job"]["tests"] == [{**_A, "args": ["--junitxml=out.xml"]}]


def test_another_language_in_an_environment_is_a_command() -> None:
    (entry,) = _suites(run("conda run -n own ctest -V ."))["job"]["tests"]
    assert entry["command"] == ["conda", "run", "-n", "own", "ctest", "-V", "."]


# --- globs


_ATTENTION = {
    "tests/attention/test_c.py": "def test_it(): pass\n",
    "tests/attention_test.py": "def test_it(): pass\n",
}


def test_a_glob_of_pytest_that_folders_match_is_all_that_a_shell_fills_in() -> None:
    """trainci's globs match files: the tests below the folder would be lost without a word."""
    tests = _suites({**run("pytest -x tests/attention*"), **_ATTENTION})["job"]["tests"]
    assert [entry["path"] for entry in tests] == ["tests/attention", "tests/attention_test.py"]
    assert _suites({**run("pytest tests/*_test.py"), **_ATTENTION})["job"]["tests"] == [
        {"path": "tests/*_test.py", "runner": "pytest"}
    ]


def test_a_word_of_pytest_that_matches_nothing_is_no_path() -> None:
    (entry,) = _suites(run("pytest tests/test_a.py --ignored-links 'http*'"))["job"]["tests"]
    assert (entry["path"], entry["args"]) == ("tests/test_a.py", ["--ignored-links", "http*"])


@pytest.mark.parametrize(
    "command",
    ["bash tests/run.sh tests/test_*.py", "accelerate launch --num_processes 2 -m pytest tests/test_*.py"],
)
def test_a_glob_among_the_arguments_of_a_program_is_filled_in_by_a_shell(command: str) -> None:
    (entry,) = _suites(run(command))["job"]["tests"]
    assert entry["command"] == ["bash", "-c", f"exec {command}"]


# --- registrations, and Buildkite as vLLM's generator reads it


def test_a_stage_and_its_runner_are_a_suite_and_a_marker_without_one_is_said_to_be_left() -> None:
    files = {
        "tests/test_a.py": 'register_cuda_ci(est_time=9, stage="base-b", runner_config="2-gpu-large")\n',
        "tests/test_b.py": "register_cuda_ci(est_time=9, suite=NAME)\n",
        "own/factory.py": 'Factory.register_connector("name", make)\nregister_model("name", "own.model")\n',
    }
    assert _suites(files)["base-b-test-2-gpu-large"]["num_gpus"] == 2
    assert [text for text in _left(files) if "names no suite" in text] == [
        "register_cuda_ci(…) names no suite that could be read (1 calls)"
    ]


_PIPELINE = """\
group: Distributed
steps:
- label: Comm (2 GPUs)
  working_dir: "/vllm-workspace/tests"
  num_devices: 2
  device: h100
  source_file_dependencies: [own/, "!own/kv/"]
  commands: [pytest unit/test_b.py]
  mirror: {amd: {device: mi300_2}}
- label: Folder of most
  working_dir: "/vllm-workspace/tests"
  commands: [pytest test_a.py]
- label: No folder
  agent_pool: mi325_4
  if: build.pull_request.labels includes "ready"
  commands: [pytest test_a.py]
- label: Kubernetes
  commands: [pytest test_a.py]
  plugins:
  - kubernetes:
      podSpec:
        containers:
        - image: lab/train:1
          resources: {limits: {nvidia.com/gpu: 8}}
          env: [{name: HF_HOME, value: /cache}, {name: TOKEN, valueFrom: {secretKeyRef: x}}]
"""


def test_a_step_of_buildkite_says_its_devices_its_machine_and_its_image() -> None:
    files = {
        ".buildkite/test_areas/a.yaml": _PIPELINE,
        "tests/unit/test_b.py": "",
        "own/kv/a.py": "",
        "own/b.py": "",
    }
    suites = _suites(files)
    first = suites["comm-2-gpus"]
    assert (first["num_gpus"], first["paths"], first["paths_ignore"]) == (2, ["own/**"], ["own/kv/**"])
    assert first["tests"] == [{"path": "tests/unit/test_b.py", "runner": "pytest"}]
    assert any("mirror amd: the same tests on mi300_2" in text for text in _left(files))
    assert (suites["no-folder"]["tests"], suites["no-folder"]["num_gpus"]) == ([_A], 4)
    assert suites["no-folder"]["runs_on"] == ["mi325_4"]
    assert suites["no-folder"]["label"] == "ready" and "always" not in suites["no-folder"]
    last = suites["kubernetes"]
    assert (last["num_gpus"], last["image"], last["env"]) == (8, "lab/train:1", {"HF_HOME": "/cache"})


def test_a_folder_that_few_steps_of_buildkite_say_is_theirs_alone() -> None:
    steps = ["{label: root, command: pytest tests/test_a.py, if: build.branch == 'main'}"]
    steps += ["{label: in, command: pytest test_a.py, working_dir: /w/tests}", "{label: last, command: bash x.sh}"]
    files = {".buildkite/a.yml": f"steps: [{', '.join(steps)}]", "x.sh": "pytest\n"}
    suites = _suites(files)
    assert suites["root"]["tests"] == suites["in"]["tests"] == [_A]
    assert suites["last"]["tests"] == ["x.sh"]
    assert "what starts it: if: build.branch == 'main'" in _left(files)


_TESTS = {"tests/test_a.py": "", "tests/test_b.py": ""}
_STEP = "- label: one\n  command: pytest tests/test_a.py\n"


def test_what_a_pipeline_or_a_group_of_buildkite_says_holds_for_its_steps() -> None:
    steps = "steps:\n- group: G\n  if: build.tag == null\n  if_changed: [own/**]\n  steps:\n"
    steps += "  - command: pytest tests/test_a.py\n"
    files = {**_TESTS, ".buildkite/a.yml": f"env: {{A: x}}\nagents: {{queue: gpu-4}}\n{steps}    env: {{B: z}}\n"}
    suite = _suites(files)["command"]
    assert (suite["env"], suite["runs_on"], suite["num_gpus"]) == ({"A": "x", "B": "z"}, ["gpu-4"], 4)
    assert suite["paths"] == ["own/**"]
    assert "what starts it: if: build.tag == null" in _left(files)


def test_a_matrix_of_buildkite_is_a_test_for_each_row() -> None:
    matrix = "{setup: {k: [a, b], m: [x, z]}, adjustments: [{with: {k: a, m: z}, skip: true}]}"
    command = "pytest tests/test_{{matrix.k}}.py -k {{matrix.m}}"
    step = f"{{label: 'T {{{{matrix.k}}}}', command: '{command}', matrix: {matrix}}}"
    listed = "{command: 'pytest tests/test_{{ matrix }}.py', label: L, matrix: [a]}"
    suites = _suites({**_TESTS, "buildkite.yml": f"steps: [{step}, {listed}]"})
    rows = [(test["path"], test["args"][1]) for test in suites["t"]["tests"]]
    assert rows == [("tests/test_a.py", "x"), ("tests/test_b.py", "x"), ("tests/test_b.py", "z")]
    assert suites["l"]["tests"] == [_A]


def test_plugins_of_buildkite_say_the_container_or_are_named() -> None:
    docker = "{docker#v5: {image: lab/a, environment: [A=x, TOKEN], volumes: [/d:/d]}}"
    composed = "{docker-compose#v4: {run: app}}"
    steps = [
        f"{{label: {label}, command: pytest tests/test_a.py, plugins: [{plugin}]}}"
        for label, plugin in (("one", docker), ("two", composed), ("three", "own/thing#v1"))
    ]
    steps.append("{plugins: [{monorepo-diff#v1: {watch: [{config: {command: pytest tests/test_b.py}}]}}]}")
    compose = "services: {app: {image: lab/b, environment: {Z: w}}, db: {image: redis}}"
    files = {**_TESTS, ".buildkite/a.json": f"{{steps: [{', '.join(steps)}]}}", "docker-compose.yml": compose}
    suites = _suites(files)
    assert [suites[name].get("image") for name in ("one", "two", "three")] == ["lab/a", "lab/b", None]
    assert [suites[name].get("env") for name in ("one", "two")] == [{"A": "x"}, {"Z": "w"}]
    said = " ".join(_left(files))
    for part in (
        "TOKEN is handed on",
        "volume /d:/d",
        "services db",
        "the plugin own/thing",
        "pytest tests/test_b.py",
    ):
        assert part in said, part


def test_steps_that_buildkite_uploads_are_read_or_named() -> None:
    uploads = ["pipeline upload ci/more.yml", "python gen.py | buildkite-agent pipeline upload", "bash ci/up.sh"]
    steps = [f"{{command: '{line}'}}" for line in (*uploads, "buildkite-agent pipeline upload")]
    files = {
        **_TESTS,
        ".buildkite/a.yml": f"steps: [{', '.join(steps)}, {{trigger: other}}]",
        "ci/more.yml": f"steps:\n{_STEP}",
        "ci/up.sh": "make_steps | buildkite-agent pipeline upload\n",
        ".buildkite/go.sh": "pytest tests/test_b.py\n",
        ".buildkite/b.yml": "steps: [{label: go, command: bash .buildkite/go.sh}]",
    }
    suites = _suites(files)
    assert (suites["one"]["tests"], suites["go"]["tests"]) == ([_A], [".buildkite/go.sh"])
    said = [text for text in _left(files) if "known in a run only" in text]
    assert [text.partition("only: ")[2] for text in said] == uploads[1:]
    assert "starts the pipeline other, which is not read" in _left(files)


def test_no_key_of_a_step_of_buildkite_is_lost_in_silence() -> None:
    said = {
        "soft_fail": "true",
        "retry": "{automatic: true}",
        "num_nodes": "2",
        "cache": "x",
        "if": "a",
        "branches": "b",
    }
    said |= {"parallelism": "4", "matrix": "{setup: [y], adjustments: [{with: y, soft_fail: true}]}"}
    for key, value in said.items():
        files = {**_TESTS, ".buildkite/a.yml": f"steps:\n{_STEP}  {key}: {value}\n"}
        word = "soft_fail" if key == "matrix" else key
        assert any(word in text for text in _left(files)), key
    skipped = {**_TESTS, ".buildkite/a.yml": f"steps:\n{_STEP}  skip: broken\n"}
    assert _suites(skipped)["one"]["tests"] == [{**_A, "disabled": "broken"}]
    nodes = "steps: [{label: one, commands: [[pytest tests/test_a.py], [pytest tests/test_b.py]]}]"
    assert len(_suites({**_TESTS, ".buildkite/a.yml": nodes})["one"]["tests"]) == 2


def test_commands_in_a_list_of_one_line_are_each_a_command() -> None:
    lines = "[export A=x, pytest tests/test_a.py, bash tests/run.sh]"
    files = {**_TESTS, "tests/run.sh": "pytest\n"}
    for file, text in (
        (".buildkite/a.yml", f"steps: [{{label: one, commands: {lines}}}]"),
        (".gitlab-ci.yml", f"one: {{script: {lines}}}"),
    ):
        assert _suites({**files, file: text})["one"]["tests"] == [_A, "tests/run.sh"], file


_GITLAB = "one: {{script: [pytest tests/test_a.py], {}}}"


def _circle(
    *, images: str = "", steps: str = "", keys: str = "", given: str = "", jobs: str = "", when: str = ""
) -> str:
    one = f"{{docker: [{{image: a}}{images}], steps: [{{run: pytest tests/test_a.py}}{steps}]{keys}}}"
    return f"jobs: {{one: {one}}}\nworkflows: {{w: {{jobs: [{{one: {{{given}}}}}{jobs}]{when}}}}}"


_STEP_OF_GITHUB = "      - run: pytest tests/test_a.py\n"
_WHEN = ", {when: {condition: x, steps: [{run: pytest tests/test_b.py}]}}"
_UNREAD = [
    *[(".gitlab-ci.yml", _GITLAB.format(said), word) for said, word in (
        ("services: [redis]", "services: redis"),
        ("retry: 2", "retry: 2"),
        ("after_script: [pytest tests/test_b.py]", "after_script: pytest"),
        ("except: [tags]", "except: tags"),
        ("only: {changes: [a]}", "only: changes a"),
        ("parallel: 4", "parallel 4"),
        ("rules: [{exists: [a]}]", "exists: a"),
        ("allow_failure: {exit_codes: 3}", "allow_failure"),
        ("extends: .gone", "extends .gone"),
    )],
    *[(file, text, "what this file runs is not read") for file, text in (
        ("justfile", "test:\n  pytest tests\n"),
        ("ci/azure/all.yaml", "steps: [{script: pytest tests}]"),
        ("jenkins/gpu.groovy", "sh 'pytest tests'"),
        ("Taskfile.yml", "tasks: {test: {cmds: [pytest tests]}}"),
        (".buildkite/steps.yml.j2", "- command: pytest tests\n"),
    )],
    (".gitlab-ci.yml", "services: [redis]\none: {script: [pytest tests/test_a.py]}", "services: redis"),
    (".gitlab-ci.yml", "workflow: {rules: [{if: $A}]}", "rules: if $A"),
    (".gitlab-ci.yml", "include: [{component: a/b@1}]", "include component a/b@1"),
    (".gitlab-ci.yml", "one: {trigger: other/project}", "starts the pipeline other/project"),
    (".gitlab-ci.yml", "one: {run: [{script: pytest tests/test_a.py}]}", "not read as a test"),
    (".circleci/config.yml", _circle(images=", {image: redis}"), "the service redis"),
    (".circleci/config.yml", _circle(keys=", parallelism: 4"), "parallelism: 4"),
    (".circleci/config.yml", _circle(steps=_WHEN), "when x"),
    (".circleci/config.yml", _circle(given="context: hf"), "context: hf"),
    (".circleci/config.yml", _circle(given="filters: {branches: {ignore: a}}"), "ignore: a"),
    (".circleci/config.yml", _circle(jobs=", python/test"), "the job python/test of an orb"),
    (".circleci/config.yml", _circle(when=", when: x"), "when: x"),
    *[(WORKFLOW, text, word) for texts, word in (
        (job(_STEP_OF_GITHUB, head="    services: {db: {image: redis}}\n"), "services: db image redis"),
        (job("      - {uses: actions/github-script@v7, with: {script: exec('pytest tests')}}\n"), "exec('pytest"),
    ) for text in texts.values()],
]  # fmt: skip


@pytest.mark.parametrize(("file", "text", "word"), _UNREAD, ids=[word for _, _, word in _UNREAD])
def test_what_no_reader_of_a_ci_looks_at_is_named(file: str, text: str, word: str) -> None:
    assert any(word in said for said in _left({file: text})), _left({file: text})


def test_pipelines_that_gitlab_starts_and_heads_of_its_files_are_read() -> None:
    files = {
        ".gitlab-ci.yml": "spec: {inputs: {a: {}}}\n---\nup: {trigger: {include: ci/child.yml}}\n",
        "ci/child.yml": "one: {script: [pytest tests/test_a.py], rules: [{exists: [a]}]}",
    }
    assert _suites(files)["one"]["tests"] == [_A] and _suites(files)["one"]["always"]
    steps = "pre-steps: [{run: pip install x}], post-steps: [{run: pytest tests/test_b.py}]"
    circle = _suites({".circleci/config.yml": _circle(given=steps)})["one"]
    assert (circle["setup"], circle["tests"]) == (["pip install x"], [_A, _B])
    action = "      - uses: own/set-up@v1\n" + _STEP_OF_GITHUB
    assert "not carried over: uses own/set-up@v1" in render(_proposal(job(action)))
    container = "    container: {image: a, env: {B: x}}\n"
    assert _suites(job(_STEP_OF_GITHUB, head=container))["job"]["env"] == {"B": "x"}


def test_a_test_in_a_submodule_that_is_not_checked_out_is_left_with_the_way_out() -> None:
    files = {**run("pytest lib/tests"), ".gitmodules": '[submodule "lib"]\n\tpath = lib\n\turl = ../lib\n'}
    (left,) = _left(files)
    assert "the submodule lib is not checked out (`git submodule update --init lib`)" in left
