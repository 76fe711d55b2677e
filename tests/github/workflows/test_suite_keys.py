"""The keys of a suite in the generated workflow: ids of jobs, what they wait for and install, how many they are."""

from __future__ import annotations

import itertools
import subprocess

import pytest
from github.workflows.conftest import assert_schema_and_zizmor_find_nothing, generated, parsed

from trainci.github.workflows.matrix import entries
from trainci.model.gates import gate_of
from trainci.model.selection import Selected, Selection
from trainci.model.tests import Test

CONFIG = """\
[project]
install = "pip install -e ."
env = { HF_ENDPOINT = "https://hf.example" }
python_version = "3.12"

[suites.cpu]
job = "cpu-unittest"
always = true
paths = ["src/**"]
branches = ["main", "v0.*"]
drafts = false
setup = ["pip install torch", "pip install pytest"]
secrets = ["HF_TOKEN"]
pack = true
tests = ["tests/test_a.py", { path = "tests/test_b.py", secrets = ["WANDB_API_KEY"] }]

[suites.mixed]
runs_on = ["ubuntu-latest"]
jobs = 2
env = { A = "it's ${HOME}" }
tests = [
  { path = "tests/test_a.py", args = ["--x"], install = "make a", python_version = "3.10" },
  "tests/test_b.py",
  { path = "tests/test_b.py", args = ["--y"] },
]

[suites.changed]
select = "changed"
runs_on = ["ubuntu-latest"]
"""


@pytest.fixture(scope="module")
def text(new_repository):
    repository = new_repository()
    for name in "ab":
        repository.write(f"tests/test_{name}.py", "NUM_GPUS = 0\n\n\nif __name__ == '__main__':\n    print(1)\n")
    repository.write(".github/workflows/pr-test.yml.j2", '<% extends "trainci/pr-test.yml.j2" %>\n')
    repository.write("trainci.toml", CONFIG)
    return generated(repository)


def steps(text, job):
    return {step["name"]: step for step in parsed(text)["jobs"][job]["steps"]}


@pytest.mark.slow
def test_githubs_parser_its_schema_and_zizmor_find_nothing(text, github, tmp_path):
    assert github({"workflow": text}) == {"errors": []}
    assert_schema_and_zizmor_find_nothing(text, tmp_path)


def test_a_job_keeps_the_id_that_it_had(text):
    jobs = parsed(text)["jobs"]
    assert {"cpu-unittest", "cpu-unittest-result"} <= set(jobs) and "e2e-test-cpu" not in jobs
    assert "&& 'cpu-unittest' ||" in jobs["cpu-unittest-result"]["name"]


def test_only_what_expressions_cannot_see_waits_for_the_plan(text):
    workflow = parsed(text)
    assert workflow["jobs"]["cpu-unittest"]["needs"] == ["commit", "plan"]
    assert workflow["jobs"]["e2e-test-mixed"]["needs"] == "commit"
    assert workflow["on"]["push"]["branches"] == ["main", "v0.*"]
    assert "ready_for_review" in workflow["on"]["pull_request"]["types"]
    assert steps(text, "plan")["Check out the repository with its history"]["with"]["fetch-depth"] == 0


def test_a_packed_suite_is_one_job_that_runs_the_suite(text):
    (entry,) = parsed(text)["jobs"]["cpu-unittest"]["strategy"]["matrix"]["include"]
    assert entry["timeout_minutes"] == 2 * 60 + 120
    assert "trainci run cpu --devices" in steps(text, "cpu-unittest")["Run the test"]["run"]


def test_a_job_installs_what_its_suite_says_and_sees_its_variables(text):
    found = steps(text, "cpu-unittest")
    assert found["Install the repository"]["run"].splitlines() == [
        "export HF_ENDPOINT=https://hf.example", "pip install torch", "pip install pytest", "pip install -e .",
    ]  # fmt: skip
    assert found["Set up Python"]["with"] == {"python-version": "3.12"}
    assert {"HF_TOKEN", "WANDB_API_KEY"} < set(found["Run the test"]["env"])


def test_jobs_whose_tests_need_different_things_install_each_their_own(text):
    found = steps(text, "e2e-test-mixed")
    assert found["Set up Python"]["with"] == {"python-version": "${{ matrix.python_version || '3.11' }}"}
    install = found["Install the repository"]
    assert (install["if"], install["env"]) == ("matrix.install", {"INSTALL": "${{ matrix.install }}"})
    first, second = parsed(text)["jobs"]["e2e-test-mixed"]["strategy"]["matrix"]["include"]
    assert first["test_id"].splitlines() == ["tests/test_a.py[--x]", "tests/test_b.py[--y]"]
    assert (first["install"], first["python_version"]) == ("make a\npip install -e .", "3.10")
    assert (second["install"], second["python_version"]) == ("pip install -e .", "3.12")
    script = install["run"].replace('"$INSTALL"', "'echo \"$A\"; false; echo on'")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={"HOME": "/nowhere"})
    assert (done.returncode != 0, done.stdout) == (True, "it's ${HOME}\n")


def test_the_changed_suite_installs_what_each_of_its_tests_needs(text):
    assert steps(text, "e2e-test-changed")["Install the repository"]["if"] == "matrix.install"


EXPRESSIONS = ('env = { A = "${{ secrets.X }}" }', 'setup = ["echo ${{ github.token }}"]')


@pytest.mark.parametrize(
    ("where", "line"),
    [
        *itertools.product(["[project]", "[suites.a]"], EXPRESSIONS),
        ("[suites.a]", 'always = true\nbranches = ["a${{github.token}}"]'),
    ],
)
def test_nothing_that_github_would_evaluate_comes_from_trainci_toml(repository, where, line):
    repository.write("tests/test_a.py", "NUM_GPUS = 0\n\n\nif __name__ == '__main__':\n    print(1)\n")
    repository.write(".github/workflows/pr-test.yml.j2", '<% extends "trainci/pr-test.yml.j2" %>\n')
    suite = "" if where == "[suites.a]" else "[suites.a]\n"
    repository.write("trainci.toml", f'{where}\n{line}\n{suite}tests = ["tests/test_a.py"]\n')
    said = repository.trainci("generate")
    assert said.code == 2
    assert "which GitHub would evaluate as an expression" in said.err


def test_a_job_has_time_for_the_runs_that_a_suspicious_metric_takes():
    seconds = {"history": 3 * 3600, 0.5: 3600}
    for said, most in seconds.items():
        test = Test("t", timeout=3600, metrics=(gate_of("loss", said),))
        (entry,) = entries(Selection((Selected(test, "because"),)), 600.0)
        assert entry["timeout_minutes"] * 60 == most + 600
