"""A test file may name its suites itself: read from its text, like NUM_GPUS."""

from __future__ import annotations

from typing import Any

import pytest

_MAIN = '\nif __name__ == "__main__":\n    print("ran")\n'
_CONFIG = """
[catalog]
registers = ["register_cuda_ci"]
[suites.short]
num_gpus = 1
tests = ["tests/test_listed.py"]
[suites.long]
"""


@pytest.fixture
def project(repository: Any) -> Any:
    repository.write("trainci.toml", _CONFIG)
    repository.write("tests/test_listed.py", f'CI_SUITES = ["short"]{_MAIN}')
    return repository


def _listed(project: Any) -> list[list[str]]:
    out = project.trainci("list").out.splitlines()
    return [[words[0], words[1], words[-1]] for line in out if (words := line.split())[0].startswith("tests/")]


def test_a_constant_names_the_suites_of_a_file(project: Any) -> None:
    project.write("tests/test_a.py", f'"""doc"""\nCI_SUITES = ["short", "long"]\nNUM_GPUS = 2{_MAIN}')
    assert _listed(project) == [
        ["tests/test_listed.py", "1", "trainci.toml:6"],
        ["tests/test_a.py", "2", "tests/test_a.py:2"],
        ["tests/test_a.py", "2", "tests/test_a.py:2"],
    ]
    assert project.trainci("check").code == 0, project.trainci("check").out


def test_a_call_of_the_repositorys_own_marker_registers_and_nothing_is_imported(project: Any) -> None:
    text = 'from gone import register_cuda_ci\nregister_cuda_ci(est_time=80, suite="long", num_gpus=3, stage="b")\n'
    project.write("tests/test_a.py", f"{text}def test_a(): pass\n")
    project.write(
        "tests/test_b.py", 'import ci\nci.register_cuda_ci(suite="short", disabled="see #12")\ndef test_b(): pass\n'
    )
    project.write("tests/test_c.py", 'register_other(suite="short")\ndef test_c(): pass\n')
    assert _listed(project) == [
        ["tests/test_listed.py", "1", "trainci.toml:6"],
        ["tests/test_b.py", "1", "#12"],
        ["tests/test_a.py", "3", "tests/test_a.py:2"],
        ["tests/test_c.py", "0", "no"],
    ]
    assert "  tests/test_b.py:2, disabled: see #12\n" in project.trainci("list").out
    shown = project.trainci("run", "short", "--dry-run", "--devices", "cpu:1").out
    assert "    skipped, disabled: see #12\n" in shown


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ('CI_SUITES = ["gone"]', "1: gone is no suite of trainci.toml to register for; there are: short, long."),
        ("CI_SUITES = SUITES", "1: CI_SUITES must be a list of names of suites, such as"),
        ("CI_SUITES = [1]", "1: CI_SUITES must be a list of names of suites"),
        ("CI_SUITES = []", "1: CI_SUITES must be a list of names of suites"),
        ("x = 1\nregister_cuda_ci()", "2: register_cuda_ci(…) names no suite"),
        ("register_cuda_ci(suite=S)", "1: suite of register_cuda_ci(…) is no constant that fits"),
        ('register_cuda_ci(suite="short", num_gpus=True)', "1: num_gpus of register_cuda_ci(…) is no constant"),
        ('register_cuda_ci(suite="short", est_time=-1)', "1: est_time of register_cuda_ci(…) is no constant"),
    ],
)
def test_what_cannot_be_read_is_found_with_its_line(project: Any, text: str, finding: str) -> None:
    project.write("tests/test_a.py", f"{text}\nNUM_GPUS = 1{_MAIN}")
    assert f"tests/test_a.py:{finding}" in project.trainci("check").out


def test_what_it_expects_orders_a_run_that_has_no_history(project: Any) -> None:
    for name, seconds in (("a", 10), ("b", 500)):
        text = f'register_cuda_ci(suite="long", est_time={seconds}, num_gpus=1)'
        project.write(f"tests/test_{name}.py", f"{text}{_MAIN}")
    locks = {"TRAINCI_LOCK_DIR": str(project.root / ".locks")}
    out = project.trainci("run", "long", "--devices", "cpu:1", environment=locks).out
    assert out.index("tests/test_b.py: started") < out.index("tests/test_a.py: started"), out


@pytest.mark.parametrize(
    "call",
    [
        'register_cuda_ci(est_time=13, stage="base-b", runner_config="1-gpu")',
        'register_cuda_ci(13, "base-b-test-1-gpu")',
    ],
)
def test_a_stage_and_its_runner_or_the_place_of_a_name_are_a_suite(project: Any, call: str) -> None:
    project.write("trainci.toml", _CONFIG.replace("[suites.long]", "[suites.base-b-test-1-gpu]\nnum_gpus = 1"))
    project.write("tests/test_a.py", f"{call}{_MAIN}")
    assert ["tests/test_a.py", "1", "tests/test_a.py:1"] in _listed(project)


def test_a_call_with_a_stage_and_no_runner_says_that_it_names_no_suite(project: Any) -> None:
    project.write("tests/test_a.py", f'register_cuda_ci(est_time=13, stage="base-b"){_MAIN}')
    assert "register_cuda_ci(…) names no suite" in project.trainci("check").out
