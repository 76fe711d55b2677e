"""What fails inside of a test is heard of however its exit code is lost; what is expected or made good is not.

``tests/cases/unheard`` holds programs of both kinds, and in ``said`` what is said of each that loses a failure.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from trainci.catalog.expects_failure import expects_failure, shell_expects_failure

CASES = Path(__file__).parent / "cases/unheard"


def run(repository: Any, kind: str) -> Any:
    names = sorted(path.name for path in (CASES / kind).iterdir() if path.is_file())
    repository.write("trainci.toml", f"[suites.s]\nnum_gpus = 0\ntests = {[f'tests/{name}' for name in names]}\n")
    for path in sorted(CASES.glob("helpers/**/*.py")):
        repository.write(str(path.relative_to(CASES)), path.read_text())
    for name in names:
        repository.write(f"tests/{name}", (CASES / kind / name).read_text())
    environment = {"TRAINCI_LOCK_DIR": str(repository.root / "locks"), "TMPDIR": str(repository.root)}
    return repository.trainci("run", "s", "--devices", "cpu:1", environment=environment)


@pytest.mark.slow
def test_what_fails_inside_is_not_green(repository: Any) -> None:
    ran = run(repository, "lost")
    said = dict(re.findall(r"^failed +tests/(\S+): exit code 0, but (.*)$", ran.out, re.MULTILINE))
    expected = dict(line.split(": ", 1) for line in (CASES / "said").read_text().splitlines())
    # Where it stands in the log is pytest's own matter.
    assert {name: re.sub(r"line \d+", "line N", text) for name, text in said.items()} == expected, ran.out
    assert expected.keys() == {path.name for path in (CASES / "lost").iterdir()}
    assert ran.code == 1
    assert not list(repository.root.glob(".trainci/runs/*/*.ends.jsonl")), "what was written down stays nowhere"


@pytest.mark.slow
def test_what_is_expected_or_made_good_is_green(repository: Any) -> None:
    ran = run(repository, "sound")
    said = {name: (outcome, note) for outcome, name, note in re.findall(r"\] (\w+) tests/(\S+) in (.*)", ran.out)}
    names = {path.name for path in (CASES / "sound").iterdir()}
    assert {name: outcome for name, (outcome, _) in said.items()} == dict.fromkeys(names, "passed"), ran.out
    assert ran.code == 0


def test_another_exception_that_nobody_catches_is_told_and_makes_nothing_red(repository: Any) -> None:
    ran = run(repository, "noted")
    assert "s; a thread ended by ValueError at tests/server.py:5: closed" in ran.out, ran.out
    asked = [f"a process ended by AssertionError at <string>:1: no {what}" for what in ("GPU", "MPI")]
    assert f"; {'; '.join(asked)}" in ran.out, "a script asks by the one line of `python -c`"
    assert ran.code == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("assert done.returncode != 0", True),
        ("assert done.returncode == 1", True),
        ("assert done.returncode in (1, 2)", True),
        ("assert done.returncode", True),
        ("assert pytest.main(['x']) == 1", True),
        ("assert not code == 0", True),
        ("self.assertNotEqual(child.exitcode, 0)", True),
        ("self.assertEqual(child.exitcode, 1)", True),
        ("if done.returncode == 0: raise ValueError", True),
        ("assert '1 failed' in done.stdout", True),
        ("try:\n    check_call(x)\n    raise ValueError\nexcept CalledProcessError: pass", True),
        ("assert done.returncode == 0", False),
        ("assert not done.returncode", False),
        ("if done.returncode != 0: raise ValueError", False),
        ("self.assertEqual(child.exitcode, 0)", False),
        ("try: check_call(x)\nexcept CalledProcessError: pass", False),
        ("assert loss != 0", False),
        ("assert len(found) == 1", False),
    ],
)
def test_a_program_says_by_its_code_that_it_expects_a_failure(text: str, expected: bool) -> None:
    assert expects_failure(ast.parse(text)) is expected


def test_what_a_framework_judges_is_no_word_of_the_program() -> None:
    inside = "def test_dies():\n    assert run().returncode != 0\n"
    assert not expects_failure(ast.parse(f"{inside}sys.exit(pytest.main([__file__]))"), by_framework=True)
    assert expects_failure(ast.parse(f"{inside}code = pytest.main([other])\nassert code == 1"), by_framework=True)


def test_a_script_that_looks_for_failed_tests_expects_them() -> None:
    assert shell_expects_failure("pytest > log || true\ngrep -q '2 failed, 1 passed' log")
    assert not shell_expects_failure("pytest | tee log\n# grep '1 failed' log\ngrep passed log")


@pytest.mark.slow
def test_of_what_torch_spawns_a_failure_is_heard_and_one_that_is_asked_for_is_none(repository: Any) -> None:
    ran = run(repository, "with_torch")
    said = (
        "exit code 0, but a child process whose exit code nobody asks for ended with exit code 1 at tests/lost.py:9"
    )
    assert re.search(rf"^failed +tests/lost.py: {said}$", ran.out, re.MULTILINE), ran.out
    assert re.search(r"\] passed tests/sound.py", ran.out), ran.out
