"""The laws of the house that import-linter cannot say, and that it is obeyed itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src/trainci").rglob("*.py"))
LONGEST = 330


@pytest.mark.slow
@pytest.mark.parametrize(
    "tool", [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",), ("lint-imports",)], ids=" ".join
)
def test_linters_and_types_are_clean(tool):
    """`make check` runs them first; here they are part of CI, which runs the tests alone."""
    done = subprocess.run(
        [Path(sys.executable).with_name(tool[0]), *tool[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_git_runs_git():
    for file in SOURCES:
        text = file.read_text()
        tree = ast.parse(text if "git" in text else "")
        lists = [node for node in ast.walk(tree) if isinstance(node, ast.List) and node.elts]
        runs_git = any(isinstance(node.elts[0], ast.Constant) and node.elts[0].value == "git" for node in lists)
        assert not runs_git or file.name == "git.py", file


def test_no_room_is_too_large():
    large = [str(file.relative_to(ROOT)) for file in SOURCES if len(file.read_text().splitlines()) > LONGEST]
    assert not large, "a file this long is asking for a second room"


def test_help_imports_nothing_heavy():
    program = (
        "import sys, io; from trainci.cli import main; main(['--help'], io.StringIO(), io.StringIO()); "
        "heavy = {'click', 'pydantic', 'rich', 'junitparser', 'psutil', 'pynvml', 'jinja2', 'sqlite3'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_command_imports_what_only_another_needs():
    program = (
        "import sys, io; from trainci.cli import main; main(['lease', '--help'], io.StringIO(), io.StringIO()); "
        "print(sorted({'pydantic', 'rich', 'junitparser', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
