"""What a registered script, command or folder runs is registered, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

_TEST = "def test_it():\n    assert True\n"
_FILES = ("tests/test_a.py", "tests/unit/test_b.py", "tests/more/test_c.py")


def _loose(repository: Any, entry: str, files: dict[str, str] | None = None) -> set[str]:
    """The test files of which `check` says that no label runs them, where this is the one entry."""
    head = '[project]\ntests = ["tests/**/test_*.py"]\n'
    repository.write("trainci.toml", f"{head}[suites.short]\nnum_gpus = 0\ntests = [{entry}]\n")
    for path in _FILES:
        repository.write(path, _TEST)
    for path, text in (files or {}).items():
        repository.write(path, text)
    said = json.loads(repository.trainci("check", "--json").out)
    return {one["file"] for one in said["findings"] if one["code"] == "unregistered"}


def _command(*words: str) -> str:
    return f"{{ command = {json.dumps(words)}, name = 'x' }}"


@pytest.mark.parametrize(
    ("entry", "files"),
    [
        ("{ path = '.', runner = 'pytest' }", {}),
        (_command("make", "test"), {"Makefile": "test:\n\tpytest tests\n"}),
        (_command("bash", "-c", "cd tests && exec pytest"), {}),
        (_command("bash", "-c", "export LIB=$(find / -name x.so) && exec pytest --device cpu $more -v"), {}),
        (_command("pytest", "tests/test_a.py", "tests/unit", "tests/more/test_c.py::test_it"), {}),
        (
            "'run.sh'",
            {
                "run.sh": "set -e\nif [ $A ]; then\n  pytest tests/unit\nfi\nbash more.sh\n",
                "more.sh": "pytest tests\n",
            },
        ),
        ("'run.sh'", {"run.sh": "set -e\nfor f in tests/*.py tests/*/*.py; do\n  python -m pytest $f\ndone\n"}),
        (
            "{ name = 'both', steps = ['run.sh', 'tests/test_a.py'] }",
            {"run.sh": "set -e\ntox -e py\n", "tox.ini": "[testenv:py]\ncommands = pytest tests/unit tests/more\n"},
        ),
    ],
)
def test_what_a_registered_script_or_command_runs_is_registered(repository: Any, entry: str, files: Any) -> None:
    assert _loose(repository, entry, files) == set()


@pytest.mark.parametrize(
    ("entry", "files"),
    [
        (_command("make", "lint"), {"Makefile": "lint:\n\truff check tests\ntest:\n\tpytest tests\n"}),
        (_command("bash", "-c", "echo tests/test_a.py && cp tests/unit/test_b.py x.py"), {}),
        ("'run.sh'", {"run.sh": "set -e\n# pytest tests\ngit add tests/test_a.py\n"}),
        ("'run.sh'", {"run.sh": "set -e\ncase $1 in\n  a) python -m own;;\n  *) exit 1;;\nesac\n"}),
    ],
)
def test_what_a_script_only_names_is_not(repository: Any, entry: str, files: Any) -> None:
    assert _loose(repository, entry, files) == set(_FILES)


def test_a_changed_test_below_a_registered_root_is_that_entry(repository: Any) -> None:
    entry = "{ path = '.', runner = 'pytest', args = ['-x'] }"
    _loose(repository, entry, {"lib.py": "A = 1\n"})
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.commit("first")
    repository.write("tests/test_a.py", f"{_TEST}# changed\n")
    repository.commit("second")
    said = repository.trainci("run", "--changed", "--base", "HEAD~1", "--dry-run", "--devices", "cpu:2").out
    assert ".[-x]\n    because: modified\n" in said and "not registered" not in said
