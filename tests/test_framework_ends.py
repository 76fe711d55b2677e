"""A framework that was stopped in the middle, or ran nothing, is known by what it says at its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.framework_ends import ended, pytest_end, said_failures, unittest_end

pytestmark = pytest.mark.slow


PASSES = "import os, pytest, sys\ndef test_a(): pass\n"
BAD = "def test_z(): assert 0\n"


def said(tmp_path: Path, body: str, *options: str) -> tuple[int, str]:
    (tmp_path / "test_x.py").write_text(body)
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "test_x.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "options",
    [("-q",), (), ("--color=yes",), ("-v", "-s")],
)
def test_what_pytest_says_is_read_as_it_says_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, text = said(tmp_path, PASSES, *options)
    assert (code, pytest_end(text).summary, pytest_end(text).fault) == (0, True, "")
    code, text = said(
        tmp_path, f"{PASSES}def test_b(): pytest.exit('no device', 0)\ndef test_c(): assert 0", *options
    )
    assert code == 0 and pytest_end(text).fault == "pytest.exit stopped it in the middle (no device)"
    code, text = said(tmp_path, PASSES, "--setup-plan", *options)
    assert code == 0 and pytest_end(text).fault == "pytest says that no tests ran"
    code, text = said(tmp_path, f"{PASSES}def test_b(): os._exit(0)", *options)
    assert code == 0 and not pytest_end(text).summary


def test_only_the_end_of_the_outer_pytest_counts(tmp_path: Path) -> None:
    """A test of a plugin prints the output of another pytest."""
    inner = "print('!!!!!! _pytest.outcomes.Exit: x !!!!!!\\n=== no tests ran in 0.01s ===')"
    code, text = said(tmp_path, f"def test_a(): {inner}\n", "-s")
    assert code == 0 and "no tests ran" in text and pytest_end(text).fault == ""


@pytest.mark.parametrize(
    ("more", "not_passed"),
    [
        ("", 0),
        (" (skipped=1)", 1),
        (" (expected failures=2)", 2),
        (" (skipped=1, expected failures=2)", 3),
    ],
)
def test_what_unittest_says_is_read(more: str, not_passed: int) -> None:
    end = unittest_end(f"...\r\n-----\r\nRan 3 tests in 0.001s\r\n\r\nOK{more}\r\nbye\r\n")
    assert end is not None and (end.ran, end.not_passed) == (3, not_passed)
    assert unittest_end("Ran 3 tests in 0.1s\n\nFAILED (failures=1)\n") is None


def texts(tmp_path: Path, *options: str) -> tuple[str, str, str]:
    """What pytest says of a file that fails, of one that passes, and of a test that runs the first."""
    bad = said(tmp_path, f"{PASSES}{BAD}", *options)[1]
    good = said(tmp_path, f"{PASSES}def test_b(): pass\n", *options)[1]
    # What is quiet has no begin: of it only as many that passed tell that it was around the other.
    names = "z" if "-q" in options else "zyx"
    (tmp_path / "bad.py").write_text("".join(BAD.replace("z", name) for name in names))
    run = "subprocess.run([sys.executable, '-m', 'pytest', 'bad.py', *sys.argv[1:-1]])"
    inner = f"import subprocess\ndef test_a(): {run}"
    return bad, good, said(tmp_path, f"import sys\n{inner}\n", "-s", *options)[1]


@pytest.mark.parametrize(
    "options",
    [(), ("-q",), ("--color=yes",), ("-v", "--tb=no"), ("-rA",)],
)
def test_pytests_that_failed_are_read_wherever_they_stand(tmp_path: Path, options: tuple[str, ...]) -> None:
    bad, good, inner = texts(tmp_path, *options)
    (found,) = said_failures(f"hello\n{bad}bye\n")
    assert (found.by, found.counts) == ("pytest", "1 failed, 1 passed")
    assert "1 failed" in f"hello\n{bad}".splitlines()[found.line - 1]
    assert [each.counts for each in said_failures(good + bad + bad)] == ["1 failed, 1 passed"] * 2
    assert said_failures(bad + good) == (), "run again"
    assert said_failures(good) == said_failures(inner) == ()
    assert ("1 failed" if "-q" in options else "3 failed") in inner
    assert said_failures(bad, ["pytest"]) == ()
    assert [ended(text, "pytest") for text in (bad, good, good + bad, "")] == [1, 1, 2, 0]


def test_a_pytest_that_passes_fewer_tests_makes_nothing_good(tmp_path: Path) -> None:
    bad = said(tmp_path, f"{BAD}def test_y(): assert 0\n")[1]
    good = said(tmp_path, PASSES)[1]
    assert [each.counts for each in said_failures(bad + good)] == ["2 failed"]


@pytest.mark.parametrize(
    "text",
    ["=== 3 failed, 2 passed in 0.12s ===\n", "3 failed in 1.00s\n", "1 xfailed, 1 passed in 0.1s\n", "FAILED\n"],
)
def test_a_line_that_looks_like_a_summary_is_none(text: str) -> None:
    assert said_failures(text) == ()


def test_unittests_that_failed_are_read() -> None:
    bad = "F\n----\nRan 2 tests in 0.001s\n\nFAILED (failures=1, skipped=1)\n"
    good = "..\n----\nRan 2 tests in 0.001s\n\nOK (skipped=1)\n"
    assert [(each.counts, each.line) for each in said_failures(good + bad)] == [("failures=1, skipped=1", 10)]
    assert said_failures(bad + good) == ()
    assert said_failures(bad.replace("failures=1, ", "errors=2, ") + good) != ()


@given(st.text("=! Exit:passed0123 in.s\n\x1b[mRanOKtestskipped(,)", max_size=200))
def test_any_text_is_read(text: str) -> None:
    pytest_end(text)
    unittest_end(text)
    said_failures(text)


MAIN = 'if __name__ == "__main__":\n    sys.exit(pytest.main([__file__]))\n'
UNIT = "import os, unittest\nclass TestX(unittest.TestCase):\n"
EXPECTED = "    @unittest.expectedFailure\n    def test_a(self): assert 0\n"
UNIT_STOPS = "    def test_a(self): os._exit(0)\n"
UNIT_MAIN = 'if __name__ == "__main__":\n    unittest.main()\n'
ENDED = "exit code 0, but pytest did not come to its end"
STOPPED = "it exited with 0, but pytest.exit stopped it in the middle (x), so nothing shows"


@pytest.mark.parametrize(
    ("entry", "text", "says"),
    [
        ('"tests/test_a.py"', f"{PASSES}def test_b(): pytest.exit('x', 0)\n{BAD}", STOPPED),
        ('"tests/test_a.py"', f"{PASSES}def test_b(): pytest.exit('x', 0)\n{BAD}{MAIN}", STOPPED),
        ('"tests/test_a.py"', f"{PASSES}def test_b(): os._exit(0)\n{BAD}{MAIN}", ENDED),
        (
            '"tests/test_a.py"',
            f"{UNIT}{UNIT_STOPS}{UNIT_MAIN}",
            "exit code 0, but unittest did not come to its end",
        ),
        ('"tests/test_a.py"', f"{UNIT}{EXPECTED}{UNIT_MAIN}", "nothing ran: 1 item skipped"),
        ("pytest", f"{PASSES}def test_b(): pytest.exit('x', 0)\n{BAD}", STOPPED),
        ("pytest", f"{PASSES}def test_b(): os._exit(0)\n{BAD}", ENDED),
        ("pytest", "import os\nos.environ['X'] = '1'\ndef test_a(): pass", "1 passed in"),
        ("own report", f"{PASSES}", "1 passed in"),
        ("own report", f"{PASSES}def test_b(): pytest.exit('x', 0)\n{BAD}", STOPPED),
        ("own report", f"{PASSES}def test_b(): os._exit(0)\n{BAD}", ENDED),
        ("module", f"{PASSES}def test_b(): os._exit(0)\n{BAD}", ENDED),
        ("config --setup-plan", f"{PASSES}{BAD}", "pytest says that no tests ran"),
        ("config --collect-only", f"{PASSES}{BAD}", "nothing ran: it exited with 0, and no test ran"),
        (
            "steps",
            f"{PASSES}def test_b(): pytest.exit('x', 0)\n{BAD}",
            STOPPED.replace("with 0, but", "with 0, but step 1:"),
        ),
    ],
)
def test_a_framework_that_was_stopped_is_not_green(repository: Any, entry: str, text: str, says: str) -> None:
    words = '["python", "-m", "pytest", "tests/test_a.py"]'
    entries = {
        "pytest": f'{{ name = "a", command = {words} }}',
        "own report": f'{{ name = "a", command = {words[:-1]}, "--junitxml=own.xml"] }}',
        "steps": f'{{ name = "a", steps = [{{ command = {words} }}, {{ command = ["bash", "-c", "echo b"] }}] }}',
    }
    entries["module"] = '{ name = "a", module = "pytest", args = ["tests/test_a.py"] }'
    listed = entries.get(entry, '{ name = "a", path = "tests/test_a.py" }')
    repository.write("trainci.toml", f"[suites.s]\nnum_gpus = 0\ntests = [{listed}]\n")
    repository.write(
        "pytest.ini",
        f"[pytest]\naddopts = {entry.removeprefix('config ')}\n" if "config" in entry else "[pytest]\n",
    )
    repository.write("tests/test_a.py", text)
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    ran = repository.trainci("run", "s", "--devices", "cpu:1", environment=locks)
    assert says in ran.out, ran.out
    assert ran.code == (0 if says in ("1 passed in", "nothing ran: 1 item skipped") else 1)


def test_a_program_that_may_do_without_its_framework_need_not_show_its_end(repository: Any) -> None:
    repository.write("trainci.toml", '[suites.s]\nnum_gpus = 0\ntests = ["tests/test_a.py"]\n')
    choice = "    if len(sys.argv) > 1:\n        sys.exit(pytest.main([__file__]))\n    else:\n        test_a()\n"
    repository.write("tests/test_a.py", f'{PASSES}if __name__ == "__main__":\n{choice}')
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    ran = repository.trainci("run", "s", "--devices", "cpu:1", environment=locks)
    assert "1 passed in" in ran.out, ran.out
