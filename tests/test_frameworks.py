"""A file that runs its tests by itself, through pytest or unittest, is not green where none of them ran."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from trainci.catalog.main_block import framework
from trainci.catalog.names import Names
from trainci.catalog.styles.base import Source
from trainci.catalog.styles.python import PythonFile

SKIPPED = "import pytest\n@pytest.mark.skip(reason='no GPU')\ndef test_x(): pass\n"
PASSED = "def test_y(): pass\n"
PYTEST = 'if __name__ == "__main__":\n    import pytest, sys\n    sys.exit(pytest.main([__file__]))\n'
UNIT = "import unittest\nclass TestX(unittest.TestCase):\n"
UNITTEST = 'if __name__ == "__main__":\n    unittest.main()\n'


def run(repository: Any, text: str) -> Any:
    repository.write("trainci.toml", "")
    repository.write("tests/test_a.py", f"NUM_GPUS = 0\n{text}")
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    return repository.trainci("run", "tests/test_a.py", "--devices", "cpu:1", environment=locks)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SKIPPED + PYTEST, "skipped tests/test_a.py: nothing ran: 1 item skipped"),
        (SKIPPED + PASSED + PYTEST, "passed tests/test_a.py in"),
        (
            f"{UNIT}    @unittest.skip('no GPU')\n    def test_x(self): pass\n{UNITTEST}",
            "skipped tests/test_a.py",
        ),
        (f"{UNIT}    def test_x(self): pass\n{UNITTEST}", "passed tests/test_a.py"),
        (f"{UNIT}    def helper(self): pass\n{UNITTEST}", "failed tests/test_a.py"),
    ],
    ids=["pytest skips all", "pytest skips one", "unittest skips all", "unittest passes", "unittest has none"],
)
def test_what_ran_decides(repository: Any, text: str, says: str) -> None:
    said = run(repository, text)
    assert says in said.out, said.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{UNIT}    def test_x(self): pass\n", "passed"),
        (f"{UNIT}    def test_x(self): self.fail()\n", "failed"),
        (f"{UNIT}    @unittest.skip('no GPU')\n    def test_x(self): pass\n", "skipped"),
        (f"{UNIT}    def helper(self): pass\n", "failed"),
        ("", "failed"),
    ],
    ids=["passes", "fails", "skips all", "has none", "is empty"],
)
@pytest.mark.parametrize("module", ["unittest", "pytest"])
def test_a_module_that_runs_tests_is_judged_by_what_ran(repository: Any, text: str, says: str, module: str) -> None:
    """Before Python 3.12 unittest exits with 0 where it found nothing to run."""
    target = "tests.test_a" if module == "unittest" else "tests/test_a.py"
    repository.write("trainci.toml", f'[suites.s]\ntests = [{{ module = "{module}", args = ["{target}"] }}]\n')
    repository.write("tests/__init__.py", "")
    repository.write("tests/test_a.py", text)
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    said = repository.trainci("run", "s", "--devices", "cpu:1", environment=locks)
    assert f"{says} python -m {module}[{target}]" in said.out, said.out


def test_a_file_that_has_its_own_report_is_judged_by_its_exit_code(repository: Any) -> None:
    own = PYTEST.replace("[__file__]", "[__file__, '--junitxml=own.xml']")
    assert "passed tests/test_a.py" in run(repository, PASSED + own).out
    assert (repository.root / "own.xml").exists()


def test_the_options_that_the_user_gives_pytest_are_kept(repository: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing_of_that_name")
    said = run(repository, PASSED + PYTEST)
    assert "failed tests/test_a.py" in said.out
    assert "1 deselected" in said.out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import pytest as pt\npt.main()", "pytest"),
        ("from unittest import main\nmain()", "unittest"),
        ("import pytest\npytest.main(['a'])\npytest.main(['b'])", ""),
        ("main()", ""),
    ],
)
def test_one_call_of_a_framework_is_how_a_file_runs_its_tests(text: str, expected: str) -> None:
    tree = ast.parse(text)
    assert framework(tree, Names(tree))[0] == expected


@pytest.mark.parametrize(
    ("imports", "call", "framework"),
    [
        ("from shared import run", "run(__file__)", "pytest"),
        ("from tests import shared as own", "own.run(__file__)", "pytest"),
        ("from tests.shared import unit", "unit()", "unittest"),
        ("from shared import both", "both()", ""),
        ("from shared import neither", "neither()", ""),
        ("from gone import run", "run(__file__)", ""),
    ],
)
def test_a_helper_of_the_repository_may_hand_the_tests_over(
    tmp_path: Path, imports: str, call: str, framework: str
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/shared.py").write_text(
        "import pytest, sys, unittest\n"
        "def neither(): sys.exit(0)\n"
        "def run(file): sys.exit(pytest.main([file]))\n"
        "def unit(): unittest.main(module='__main__')\n"
        "def both(): run(''); unit()\n"
    )
    of_own = f"def main():\n    {call}\nif __name__ == '__main__':\n    main()\n"
    (tmp_path / "tests/test_a.py").write_text(f"{imports}\n{PASSED}{of_own}")
    assert PythonFile().read(Source(tmp_path, "tests/test_a.py")).framework == framework
