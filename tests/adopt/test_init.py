"""``trainci init``: what is there is never touched, and it says what it did, left and would add."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_WORKFLOW = """\
on:
  pull_request:
jobs:
  unit:
    runs-on: ubuntu-latest
    steps:
      - run: pytest tests/test_a.py -v
"""
_TEST = "def test_it():\n    pass\n"


def _files(repository: Any) -> dict[str, bytes]:
    root = repository.root
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git/" not in path.as_posix()
    }


@pytest.fixture
def with_ci(repository: Any) -> Any:
    repository.write("tests/test_a.py", _TEST)
    repository.write(".github/workflows/ci.yml", _WORKFLOW)
    repository.init()
    return repository


def test_init_touches_nothing_that_is_there(with_ci: Any) -> None:
    with_ci.write("trainci.toml", "# mine\n")
    with_ci.write(".github/workflows/own.yml.j2", '<% extends "trainci/pr-test.yml.j2" %>')
    before = _files(with_ci)
    for arguments in ([], ["--only", "config"], ["--only", "workflow"]):
        assert with_ci.trainci("init", *arguments).code == 0
        assert _files(with_ci) == before


def test_a_link_in_a_files_place_is_something_that_is_there(with_ci: Any, tmp_path: Any) -> None:
    target = tmp_path / "elsewhere.toml"
    (with_ci.root / "trainci.toml").symlink_to(target)
    assert with_ci.trainci("init").code == 0
    assert not target.exists()


def test_the_first_test_is_not_written_through_a_link(repository: Any, tmp_path: Any) -> None:
    target = tmp_path / "elsewhere.py"
    (repository.root / "tests").mkdir()
    (repository.root / "tests/test_first.py").symlink_to(target)
    said = repository.trainci("init", "--only", "config")
    assert (said.code, target.exists()) == (0, False)
    assert "tests/test_first.py is here and stays as it is" in said.out


def test_nothing_is_written_through_a_folder_that_leads_outside(repository: Any, tmp_path: Any) -> None:
    (repository.root / ".github").symlink_to(tmp_path)
    said = repository.trainci("init")
    assert said.code == 2
    assert "leads outside the repository" in said.err
    assert list(tmp_path.iterdir()) == []


def test_only_config_writes_the_config_and_only_workflow_the_workflow(repository: Any) -> None:
    assert repository.trainci("init", "--only", "config").code == 0
    assert set(_files(repository)) == {"trainci.toml", "tests/test_first.py"}
    assert repository.trainci("init", "--only", "workflow").code == 0
    workflow = {".github/workflows/pr-test.yml", ".github/workflows/pr-test.yml.j2"}
    assert set(_files(repository)) == {"trainci.toml", "tests/test_first.py"} | workflow


def test_the_workflow_alone_says_that_it_needs_the_config(repository: Any) -> None:
    said = repository.trainci("init", "--only", "workflow")
    assert said.code == 2
    assert "Run `trainci init` first" in said.err
    assert _files(repository) == {}


def test_there_is_no_way_to_overwrite(with_ci: Any) -> None:
    assert with_ci.trainci("init", "--force").code == 2


def test_beside_a_ci_that_runs_tests_no_workflow_is_written_and_it_is_said(with_ci: Any) -> None:
    said = with_ci.trainci("init")
    assert ".github/workflows/ci.yml runs tests already, so no workflow was written" in said.out
    assert set(_files(with_ci)) == {"trainci.toml", "tests/test_a.py", ".github/workflows/ci.yml"}


def test_a_second_call_says_what_it_would_add(with_ci: Any) -> None:
    with_ci.trainci("init")
    assert "has all that this would add" in with_ci.trainci("init").out
    more = _WORKFLOW + "      - run: A=1 pytest tests/test_a.py -k 'not slow'\n"
    with_ci.write(".github/workflows/ci.yml", more)
    said = with_ci.trainci("init").out
    assert "[suites.unit]" in said
    assert '{ path = "tests/test_a.py", runner = "pytest", args = ["-k", "not slow"], env = { A = "1" } },' in said
    assert '"-v"' not in said


def test_a_second_call_takes_a_users_limits_for_the_same_entry(with_ci: Any) -> None:
    with_ci.write(
        "trainci.toml",
        '[suites.mine]\ntests = [{ path = "tests/test_a.py", args = ["-v"], num_gpus = 2, timeout_minutes = 5 }]\n',
    )
    assert "has all that this would add" in with_ci.trainci("init").out


def test_a_config_that_is_no_toml_is_said_and_kept(with_ci: Any) -> None:
    with_ci.write("trainci.toml", "[[[")
    said = with_ci.trainci("init")
    assert (said.code, "run `trainci check`" in said.out) == (0, True)
    assert (with_ci.root / "trainci.toml").read_text() == "[[["


def test_the_summary_counts_entries_suites_and_what_is_left(with_ci: Any) -> None:
    lines = "      - run: pytest tests/gone.py\n      - run: for x in $(ls); do pytest tests; done\n"
    with_ci.write(".github/workflows/ci.yml", _WORKFLOW + lines)
    said = with_ci.trainci("init")
    assert "1 entry in 2 suites carried over, 2 things left to you (`grep 'Left to you' trainci.toml`)" in said.out
    text = (with_ci.root / "trainci.toml").read_text()
    assert text.count("Left to you (.github/workflows/ci.yml:8) tests/gone.py: no such file") == 1
    assert text.count("Left to you (.github/workflows/ci.yml:9) it stands in a loop") == 1


def test_the_next_steps_name_each_label_to_make(with_ci: Any) -> None:
    with_ci.write(
        ".github/workflows/ci.yml",
        _WORKFLOW.replace(
            "    runs-on",
            "    if: contains(github.event.pull_request.labels.*.name, 'run ci; rm -rf /')\n    runs-on",
        ),
    )
    assert "\n  gh label create 'run ci; rm -rf /'  # once" in with_ci.trainci("init").out


@pytest.mark.parametrize("machine", ["ubuntu-latest", "[own]\n    env: {CUDA_VISIBLE_DEVICES: ''}"])
def test_the_first_suite_to_run_is_one_that_any_machine_can(with_ci: Any, machine: str) -> None:
    steps = "    steps:\n      - run: pytest tests/test_a.py\n"
    jobs = f"jobs:\n  gpu:\n    runs-on: [8-gpu]\n{steps}  cpu:\n    runs-on: {machine}\n{steps}"
    with_ci.write(".github/workflows/ci.yml", f"on: pull_request\n{jobs}")
    assert "  trainci run cpu " in with_ci.trainci("init", "--only", "config").out


@pytest.mark.parametrize("branch", ["master", "v2/next"])
def test_the_base_is_the_default_branch_of_origin(with_ci: Any, branch: str) -> None:
    with_ci.git("update-ref", f"refs/remotes/origin/{branch}", "HEAD")
    with_ci.git("symbolic-ref", "refs/remotes/origin/HEAD", f"refs/remotes/origin/{branch}")
    said = with_ci.trainci("init")
    assert f"the default branch is {branch}, as origin/HEAD says" in said.out
    assert tomllib.loads((with_ci.root / "trainci.toml").read_text())["project"]["base"] == branch


def test_the_first_config_of_an_empty_repository_has_the_default_branch(repository: Any) -> None:
    repository.init()
    repository.git("update-ref", "refs/remotes/origin/trunk", "HEAD")
    repository.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    repository.trainci("init")
    assert tomllib.loads((repository.root / "trainci.toml").read_text())["project"]["base"] == "trunk"


@pytest.mark.parametrize(
    ("refs", "base"),
    [
        ((), "trunk"),
        (("heads/topic",), "main"),
        (("heads/master", "heads/topic"), "master"),
        (("remotes/origin/dev",), "dev"),
        (("remotes/origin/dev", "remotes/origin/main"), "main"),
        (("remotes/origin/dev", "remotes/origin/next", "heads/master"), "main"),
        (("remotes/origin/dev/x\u2028y",), "dev/x\u2028y"),
    ],
)
def test_the_base_is_the_likely_branch_where_no_clone_has_said_it(
    repository: Any, refs: tuple[str, ...], base: str
) -> None:
    repository.write("README.md", "empty\n")
    repository.init()
    repository.git("update-ref", "-d", "refs/remotes/origin/main")
    repository.git("branch", "-m", "trunk")
    for ref in refs:
        repository.git("update-ref", f"refs/{ref}", "HEAD")
    said = repository.trainci("init")
    assert tomllib.loads((repository.root / "trainci.toml").read_text())["project"]["base"] == base
    assert ("the default branch is" in said.out) == (base != "main"), said.out


def test_the_base_of_a_repository_without_a_commit_is_its_branch(repository: Any) -> None:
    subprocess.run(["git", "init", "--quiet", "--initial-branch=trunk", str(repository.root)], check=True)
    assert "the default branch is trunk" in repository.trainci("init").out


def test_a_workflow_that_cannot_be_made_leaves_nothing_behind(repository: Any) -> None:
    repository.write("trainci.toml", '[project]\ntests = ["tests/test_*.py"]\n[suites.short]\ntests = "all"\n')
    repository.init()
    said = repository.trainci("init")
    assert said.code == 2
    assert "suite short has no tests, so its job would be empty" in said.err
    assert not (repository.root / ".github").exists()


def test_from_a_subfolder_it_writes_to_the_root_and_says_so(with_ci: Any) -> None:
    said = with_ci.trainci("init", directory="tests")
    assert f"writing to {os.path.realpath(with_ci.root)}, the root of the repository" in said.out
    assert (with_ci.root / "trainci.toml").exists()
    assert not (with_ci.root / "tests/trainci.toml").exists()


def test_a_project_of_its_own_in_a_subfolder_gets_its_own_config_and_no_workflow(repository: Any) -> None:
    repository.write("sub/pyproject.toml", "[project]\nname = 'sub'\n")
    repository.write("sub/tests/test_b.py", _TEST)
    repository.init()
    said = repository.trainci("init", directory="sub")
    assert "a project of its own" in said.out
    assert "GitHub reads them from" in said.out
    assert set(_files(repository)) == {"sub/pyproject.toml", "sub/tests/test_b.py", "sub/trainci.toml"}


def test_a_config_below_the_root_is_the_one_that_is_there(repository: Any) -> None:
    repository.write("sub/trainci.toml", "[suites.mine]\ntests = []\n")
    repository.write("sub/deep/tests/test_b.py", _TEST)
    repository.init()
    said = repository.trainci("init", directory="sub/deep")
    assert f"writing to {os.path.realpath(repository.root)}/sub, a project of its own" in said.out
    assert "trainci.toml is here already" in said.out
    assert set(_files(repository)) == {"sub/trainci.toml", "sub/deep/tests/test_b.py"}


def test_files_of_virtual_environments_and_of_others_are_no_tests_of_the_repository(repository: Any) -> None:
    repository.write("tests/test_a.py", _TEST)
    repository.write("env/pyvenv.cfg", "home = /usr\n")
    for folder in ("env/lib", "node_modules/x", "third_party/y/tests", ".tox/z"):
        repository.write(f"{folder}/test_foreign.py", _TEST)
    repository.trainci("init", "--only", "config")
    project = tomllib.loads((repository.root / "trainci.toml").read_text())["project"]
    assert project["tests"] == ["tests/**/test_*.py"]


def test_trainci_knows_its_own_workflow_from_others(repository: Any) -> None:
    repository.trainci("init")
    said = repository.trainci("init")
    assert "runs tests already" not in said.out
    assert (
        ".github/workflows/pr-test.yml.j2 and .github/workflows/pr-test.yml are here and stay as they are"
        in said.out
    )


def test_a_workflow_comes_beside_another_ci_that_has_the_usual_name(repository: Any) -> None:
    own = f"# Rendered by make_workflows.py\n{_WORKFLOW}"
    folder = ".github/workflows"
    repository.write("tests/test_a.py", _TEST)
    repository.write(f"{folder}/pr-test.yml.j2", _WORKFLOW)
    repository.write(f"{folder}/pr-test.yml", own)
    repository.init()
    assert "`trainci init --only workflow` adds trainci's beside it" in repository.trainci("init").out
    assert f"wrote {folder}/trainci.yml\n" in repository.trainci("init", "--only", "workflow").out
    again = repository.trainci("init", "--only", "workflow").out
    assert f"{folder}/trainci.yml are here and stay as they are" in again
    # What another generator wrote differs in the comment that begins it alone.
    assert f"unchanged {folder}/pr-test.yml\n" in repository.trainci("generate").out
    assert (repository.root / folder / "pr-test.yml").read_text() == own


@pytest.mark.parametrize(
    ("file", "text", "kind"),
    [
        (".travis.yml", "script: pytest\n", "Travis CI"),
        ("Jenkinsfile", "sh 'pytest'\n", "Jenkins"),
    ],
)
def test_a_ci_that_is_not_read_is_left_to_the_user(repository: Any, file: str, text: str, kind: str) -> None:
    repository.write("tests/test_a.py", _TEST)
    repository.write(file, text)
    assert "1 thing left to you" in repository.trainci("init").out
    written = (repository.root / "trainci.toml").read_text()
    assert f"Left to you ({file}:1) what {kind} runs is not read" in written


def test_settings_of_pytest_in_tox_ini_leave_nothing(repository: Any) -> None:
    repository.write("tests/test_a.py", _TEST)
    repository.write("tox.ini", "[pytest]\ntestpaths = tests\n")
    assert "left to you" not in repository.trainci("init").out
