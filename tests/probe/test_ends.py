"""What rides in each Python process of a job writes down how it ended, and changes nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainci import probe

pytestmark = pytest.mark.slow

ASSERTS = "def check():\n    assert 0, 'no'\n"
FAILS = "def test_a(): assert 0\ndef test_b(): pass\n"


def run(folder: Path, *words: str, ends: str | None = "ends") -> subprocess.CompletedProcess[str]:
    """Run a program, with the probe where ``ends`` names a file for it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    if ends:
        environment |= {probe.ENDS_VARIABLE: str(folder / ends), "PYTHONPATH": probe.SITE}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, cwd=folder)


def said(folder: Path) -> list[dict[str, Any]]:
    """All but that something began."""
    lines = [json.loads(line) for line in (folder / "ends").read_text().splitlines()]
    return [line for line in lines if line["by"] != "begun"]


def pytests(folder: Path, *words: str) -> list[dict[str, Any]]:
    run(folder, "-m", "pytest", "-p", "no:cacheprovider", *words)
    return said(folder)


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("target"))


@pytest.mark.parametrize(
    ("ends", "put"),
    [("ends", _link), ("ends", os.mkfifo), ("ends", Path.mkdir), ("nowhere/ends", None)],
    ids=["link", "pipe", "folder", "nowhere"],
)
@pytest.mark.parametrize(
    "code",
    [
        f"{ASSERTS}check()",
        "import pytest\npytest.main(['none.py', '-q'])",
        "print(1)",
    ],
)
def test_it_is_silent_where_it_cannot_write(
    tmp_path: Path, ends: str, put: Callable[[Path], None] | None, code: str
) -> None:
    if put:
        put(tmp_path / ends)
    bare, with_it = run(tmp_path, "-c", code, ends=None), run(tmp_path, "-c", code, ends=ends)
    assert (with_it.returncode, with_it.stderr) == (bare.returncode, bare.stderr)
    assert not (tmp_path / "target").exists()


def test_a_program_that_ends_well_leaves_nothing(tmp_path: Path) -> None:
    run(tmp_path, "-c", "import threading, asyncio, multiprocessing, concurrent.futures, unittest, doctest")
    run(tmp_path, "-c", "raise SystemExit(3)")
    assert not (tmp_path / "ends").exists()


def test_what_ends_a_process_is_written_down_and_shown_as_ever(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{ASSERTS}check()\n")
    bare, with_it = run(tmp_path, "a.py", ends=None), run(tmp_path, "a.py")
    assert (with_it.returncode, with_it.stderr) == (bare.returncode, bare.stderr) == (1, bare.stderr)
    (end,) = said(tmp_path)
    assert (end["how"], end["type"], end["said"], end["assertion"]) == ("process", "AssertionError", "no", True)
    assert end["frames"] == [[str(tmp_path / "a.py"), 2]]


def test_a_program_that_shows_what_it_caught_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        f"import sys\n{ASSERTS}try: check()\nexcept AssertionError: sys.excepthook(*sys.exc_info())"
    )
    assert "AssertionError" in run(tmp_path, "a.py").stderr
    assert not (tmp_path / "ends").exists()


def test_a_hook_of_the_programs_own_that_calls_the_original_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        f"import sys\n{ASSERTS}sys.excepthook = lambda *told: sys.__excepthook__(*told)\ncheck()"
    )
    run(tmp_path, "a.py")
    (end,) = said(tmp_path)
    assert (end["how"], end["told"]) == ("process", True)


def test_the_runs_of_ranks_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_a.py").write_text(FAILS)
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        pytests(tmp_path, "test_a.py")
    assert [end["root"] for end in said(tmp_path)] == [f"{tmp_path} 0", f"{tmp_path} 1"]


def test_what_happens_in_a_library_has_no_place_of_the_repository(tmp_path: Path) -> None:
    code = "class T:\n    def __del__(self): import json.decoder; json.decoder.JSONDecoder.decode(1, 2)\nT()\n"
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages/a.py").write_text(code)
    run(tmp_path, "site-packages/a.py")
    assert [end["frames"] for end in said(tmp_path)] == [[]]


def test_another_try_that_ends_well_is_written_down_and_a_fork_is_none(tmp_path: Path) -> None:
    once = "import os\nassert os.path.exists('b'), open('b', 'w')\nif os.fork() == 0: os._exit(0)\nos.wait()"
    (tmp_path / "a.py").write_text(once)
    run(tmp_path, "a.py")
    run(tmp_path, "a.py")
    first, second = said(tmp_path)
    assert (first["by"], second["by"], first["who"]) == ("raised", "well", second["who"])


def test_a_program_sees_the_hooks_that_it_always_has(tmp_path: Path) -> None:
    code = (
        "import sys, threading\nprint(sys.excepthook is sys.__excepthook__, sys.unraisablehook is"
        " sys.__unraisablehook__, threading.excepthook is threading.__excepthook__)"
    )
    assert run(tmp_path, "-c", code).stdout == "True True True\n"


def test_what_stands_in_the_place_of_a_function_is_pickled_and_looked_at_as_that_is(tmp_path: Path) -> None:
    code = """
        import asyncio.base_events, concurrent.futures, doctest, inspect, multiprocessing.pool, os, pickle, sys
        import threading, unittest
        for function in (os._exit, sys.excepthook, sys.unraisablehook, threading.excepthook):
            assert pickle.loads(pickle.dumps(function)) is function
        functions = [
            asyncio.base_events.BaseEventLoop.call_exception_handler, concurrent.futures.Future.set_exception,
            concurrent.futures.Future.result, multiprocessing.pool.ApplyResult.get, doctest.DocTestRunner.run,
            multiprocessing.Process._bootstrap, unittest.TestSuite.run, unittest.TextTestRunner.run,
        ]
        print(*[f"{function.__qualname__}{inspect.signature(function)}" for function in functions], sep="\\n")
        child = multiprocessing.get_context("spawn").Process(target=os._exit, args=(3,))
        child.start()
        child.join()
        print(child.exitcode)
    """
    (tmp_path / "a.py").write_text(f"if __name__ == '__main__':\n{code}")
    with_probe = run(tmp_path, "a.py").stdout
    assert with_probe.endswith("\n3\n") and with_probe == run(tmp_path, "a.py", ends=None).stdout


def test_a_run_of_pytest_says_what_failed_and_the_next_one_what_passed(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(FAILS)
    (end,) = pytests(tmp_path, "test_a.py")
    assert (end["failed"], end["said"], end["code"]) == (["test_a.py::test_a"], "1 failed, 1 passed", 1)
    assert end["root"] == str(tmp_path)
    (tmp_path / "test_a.py").write_text(FAILS.replace("assert 0", "pass"))
    assert pytests(tmp_path, "-n", "1", "test_a.py")[1]["passed"] == ["test_a.py::test_a", "test_a.py::test_b"]
    assert len(said(tmp_path)) == 2, "the workers of xdist say nothing"


def test_a_run_within_a_test_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(FAILS)
    (tmp_path / "test_a.py").write_text(
        "import pytest, subprocess, sys\ndef test_a():\n    assert pytest.main(['bad.py']) == 1\n"
        "    assert subprocess.run([sys.executable, '-m', 'pytest', 'bad.py'], env={}).returncode == 1\n"
        "    assert subprocess.run([sys.executable, '-c', 'assert 0']).returncode == 1\n"
    )
    (end,) = pytests(tmp_path, "test_a.py")
    assert (end["failed"], end["said"]) == ([], "1 passed")


@pytest.mark.parametrize("module", ["pytest", "unittest"])
def test_a_run_that_does_not_come_to_its_end_has_begun(tmp_path: Path, module: str) -> None:
    (tmp_path / "test_a.py").write_text(
        "import os, unittest\nclass T(unittest.TestCase):\n    def test_a(self): os._exit(0)\n"
    )
    run(tmp_path, "-m", module, "test_a.py")
    (line,) = (tmp_path / "ends").read_text().splitlines()
    assert (json.loads(line)["by"], json.loads(line)["framework"]) == ("begun", module)


def test_what_pytest_calls_no_failure_is_none(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        # As pytest-rerunfailures does it.
        "import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
        "    report = yield\n    if report.failed and item.name == 'test_again': report.outcome = 'rerun'\n"
        "    return report\n"
    )
    (tmp_path / "test_a.py").write_text(
        "import pytest\n@pytest.mark.xfail\ndef test_a(): assert 0\ndef test_again(): assert 0\n"
    )
    (end,) = pytests(tmp_path, "test_a.py")
    assert end["failed"] == []


@pytest.mark.parametrize(
    ("text", "failed", "code"),
    [
        ("import nothing_of_that_name", ["test_a.py"], 2),
        (
            "import pytest\n@pytest.fixture\ndef bad(): assert 0\ndef test_a(bad): pass\n",
            ["test_a.py::test_a"],
            1,
        ),
        (
            "import pytest\n@pytest.fixture\ndef bad():\n    yield\n    assert 0\ndef test_a(bad): pass\n",
            ["test_a.py::test_a"],
            1,
        ),
    ],
    ids=["collection", "set-up", "teardown"],
)
def test_an_error_is_a_failure(tmp_path: Path, text: str, failed: list[str], code: int) -> None:
    (tmp_path / "test_a.py").write_text(text)
    (end,) = pytests(tmp_path, "test_a.py")
    assert (end["failed"], end["code"]) == (failed, code)


def test_a_conftest_that_calls_failures_good_is_heard_before(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("def pytest_sessionfinish(session): session.exitstatus = 0\n")
    (tmp_path / "test_a.py").write_text(FAILS)
    (end,) = pytests(tmp_path, "test_a.py")
    assert (end["failed"], end["code"]) == (["test_a.py::test_a"], 1)


SWALLOWS = {
    "pytest_runtest_makereport(item, call)": "(yield).get_result().outcome = 'passed'",
    "pytest_pyfunc_call(pyfuncitem)": "(yield).force_result(True)",
}
REPEATS = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    if (yield).excinfo and not getattr(item, "again", False):
        item.again = True
        item.ihook.pytest_runtest_call(item=item)
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    report.outcome = "passed" if getattr(item, "again", False) else report.outcome
"""


@pytest.mark.parametrize("hook", SWALLOWS)
def test_what_a_test_raised_is_heard_though_a_plugin_makes_a_pass_of_it(tmp_path: Path, hook: str) -> None:
    text = f"import pytest\n@pytest.hookimpl(hookwrapper=True)\ndef {hook}: {SWALLOWS[hook]}\n"
    (tmp_path / "conftest.py").write_text(text)
    (tmp_path / "test_a.py").write_text(FAILS)
    raised, end = pytests(tmp_path, "test_a.py")
    assert (raised["how"], raised["type"], raised["frames"][0][1]) == ("test", "AssertionError", 1)
    assert end["good"] == 2


def test_a_plugin_that_calls_a_test_again_has_its_last_call_judged(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(REPEATS)
    (tmp_path / "test_a.py").write_text("n = []\ndef test_a():\n    n.append(1)\n    assert len(n) > 1\n")
    (end,) = pytests(tmp_path, "test_a.py")
    assert end["good"] == 1


def test_what_a_test_of_unittest_raised_is_heard_though_its_result_drops_it(tmp_path: Path) -> None:
    text = (
        "import unittest\nclass R(unittest.TextTestResult):\n    def addFailure(self, test, error): pass\n"
        "class T(unittest.TestCase):\n    def test_a(self): self.fail()\n"
        "    @unittest.expectedFailure\n    def test_b(self): self.fail()\n    def test_c(self): pass\n"
        "unittest.main(testRunner=unittest.TextTestRunner(resultclass=R))\n"
    )
    (tmp_path / "a.py").write_text(text)
    assert run(tmp_path, "a.py").returncode == 0
    (end,) = said(tmp_path)
    assert (end["failed"], end["said"]) == (["__main__.T.test_a"], "1 failed, 1 passed")


def test_what_a_class_of_tests_catches_itself_is_heard_unless_another_try_is_good(tmp_path: Path) -> None:
    text = (
        "import unittest\nn = []\nclass Case(unittest.TestCase):\n    def _callTestMethod(self, method):\n"
        "        for _ in range(2):\n            try:\n                return super()._callTestMethod(method)\n"
        "            except AssertionError: pass\nclass T(Case):\n    def test_a(self): self.fail()\n"
        "    def test_b(self):\n        n.append(1)\n        self.assertGreater(len(n), 1)\n"
        "    @unittest.expectedFailure\n    def test_c(self): raise ValueError\nunittest.main()\n"
    )
    (tmp_path / "a.py").write_text(text)
    assert run(tmp_path, "a.py").returncode == 0
    raised, end = said(tmp_path)
    assert (raised["how"], raised["who"], raised["frames"][0][1]) == ("test", "__main__.T.test_a", 10)
    assert end["failed"] == []


def test_a_coroutine_that_nobody_awaits_is_heard_of_where_the_test_passed(tmp_path: Path) -> None:
    checks = "async def check(): assert 0\n"
    (tmp_path / "a.py").write_text(f"{checks}check()\n")
    run(tmp_path, "a.py")
    (tmp_path / "test_a.py").write_text(
        f"{checks}def test_a(): check()\ndef test_b():\n    check()\n    assert 0\n"
    )
    one, other, _ = pytests(tmp_path, "test_a.py")
    assert [(line["how"], line["type"], line["assertion"]) for line in (one, other)] == [
        ("coroutine", "check()", False)
    ] * 2


def test_what_a_configuration_leaves_out_is_counted_and_what_is_asked_for_is_not(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --deselect test_a.py::test_a\n")
    assert [end["left_out"] for end in (*pytests(tmp_path, "test_a.py"), *pytests(tmp_path, "-k", "test_b"))][
        ::2
    ] == [1, 0]


def test_a_conftest_that_ends_the_process_after_the_tests_has_an_end(tmp_path: Path) -> None:
    """So that nothing which tests left, as a process group, keeps it from that."""
    (tmp_path / "conftest.py").write_text("import os\ndef pytest_sessionfinish(session): os._exit(0)\n")
    (tmp_path / "test_a.py").write_text(FAILS)
    (end,) = pytests(tmp_path, "test_a.py")
    assert (end["failed"], end["said"]) == (["test_a.py::test_a"], "1 failed, 1 passed")


def test_a_run_of_unittest_says_what_failed_and_the_next_one_what_passed(tmp_path: Path) -> None:
    text = (
        "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n"
        "        with self.subTest(i=1): self.fail()\n    @unittest.expectedFailure\n    def test_b(self): pass\n"
        "    @unittest.expectedFailure\n    def test_c(self): self.fail()\n    @unittest.skip('x')\n"
        "    def test_d(self): pass\n    def test_e(self): pass\n"
    )
    (tmp_path / "a.py").write_text(text)
    run(tmp_path, "-m", "unittest", "a.py")
    run(tmp_path, "-m", "unittest", "a.py")
    first, second = said(tmp_path)
    assert first["failed"] == ["a.T.test_a", "a.T.test_b"]
    assert (second["passed"], second["said"]) == (["a.T.test_e"], "2 failed, 1 passed")


def test_it_writes_so_much_and_no_more(tmp_path: Path) -> None:
    with (tmp_path / "ends").open("wb") as file:
        file.truncate(33 << 20)
    run(tmp_path, "-c", f"{ASSERTS}check()")
    assert (tmp_path / "ends").stat().st_size == 33 << 20


def test_of_a_test_that_a_plugin_repeats_or_that_fails_nothing_more_is_said(tmp_path: Path) -> None:
    """What went wrong in it is a part of that."""
    (tmp_path / "conftest.py").write_text(
        # As pytest-rerunfailures does it.
        "from _pytest.runner import runtestprotocol\ndef pytest_runtest_protocol(item, nextitem):\n"
        "    if 'again' not in item.name: return None\n    for number in (1, 2):\n"
        "        for report in runtestprotocol(item, nextitem=nextitem, log=False):\n"
        "            if report.failed: report.outcome = 'rerun'\n"
        "            item.ihook.pytest_runtest_logreport(report=report)\n"
        "            if report.outcome == 'rerun': break\n    return True\n"
    )
    (tmp_path / "test_a.py").write_text(
        "import concurrent.futures, threading, pytest\ntries = []\ndef work(): assert len(tries) > 1\n"
        "def fails_twice():\n    tries.append(1)\n    thread = threading.Thread(target=work)\n    thread.start()\n"
        "    thread.join()\n    with concurrent.futures.ThreadPoolExecutor() as pool:\n"
        "        pool.submit(work)\n    work()\n"
        "def test_again(): fails_twice()\n@pytest.mark.xfail\ndef test_expected():\n    tries.clear()\n"
        "    fails_twice()\ndef test_failed():\n    tries.clear()\n    fails_twice()\n"
    )
    (end,) = pytests(tmp_path, "test_a.py")
    assert (end["by"], end["failed"]) == ("pytest", ["test_a.py::test_failed"])


def test_what_a_future_holds_is_free_once_the_program_lets_it_go(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import concurrent.futures, gc, weakref\nclass Tensor: pass\nkept = []\ndef work():\n    large = Tensor()\n"
        "    kept.append(weakref.ref(large))\n    assert 0, 'no'\n"
        "with concurrent.futures.ThreadPoolExecutor() as pool: pool.submit(work)\ndel pool\ngc.collect()\n"
        "print(kept[0]())"
    )
    assert run(tmp_path, "a.py").stdout == "None\n"
    assert [end["said"] for end in said(tmp_path)] == ["no"]


def test_a_run_of_pytest_within_a_test_says_nothing_of_its_results(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "import concurrent.futures\ndef check(): assert 0\ndef test_a():\n"
        "    with concurrent.futures.ThreadPoolExecutor() as pool: pool.submit(check)\n"
    )
    (tmp_path / "test_a.py").write_text("import pytest\ndef test_a(): assert pytest.main(['bad.py']) == 0\n")
    (end,) = pytests(tmp_path, "test_a.py")
    assert end["by"] == "pytest"


def test_what_a_thread_of_unittest_says_into_a_buffer_is_heard(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        f"import threading, unittest\n{ASSERTS}class T(unittest.TestCase):\n    def test_a(self):\n"
        "        thread = threading.Thread(target=check)\n        thread.start()\n        thread.join()\n"
    )
    run(tmp_path, "-m", "unittest", "-b", "a.py")
    raised, end = said(tmp_path)
    assert (raised["how"], raised["told"], end["said"]) == ("thread", True, "1 passed")


def test_a_result_that_is_asked_for_while_it_is_being_set_is_asked_for(tmp_path: Path) -> None:
    """As another thread may do; here its own words do so."""
    (tmp_path / "a.py").write_text(
        "import concurrent.futures\nfuture = concurrent.futures.Future()\nclass Slow(AssertionError):\n"
        "    def __str__(self): future.add_done_callback(id); return 'no'\n"
        "try: raise Slow\nexcept Slow as slow: future.set_exception(slow)\n"
    )
    run(tmp_path, "a.py")
    assert not (tmp_path / "ends").exists()
