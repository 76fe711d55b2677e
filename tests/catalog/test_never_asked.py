"""What a program makes and never runs, starts and never asks, or asserts in vain is told; each is run here, too."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from trainci.catalog.lost import LostResult
from trainci.catalog.main_block import main_blocks
from trainci.catalog.names import Names
from trainci.catalog.python.lost import lost_in_tests, lost_results
from trainci.catalog.styles.base import Source
from trainci.catalog.styles.python import PythonFile
from trainci.catalog.styles.words import Words

TEST = """\
import asyncio, contextlib, functools, math, multiprocessing, os, runpy, subprocess, sys, threading, time, unittest
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
def test():
    assert 1 == 2
def child():
    return subprocess.Popen([sys.executable, "-c", "assert 0"])
class Case(unittest.TestCase):
    def test_a(self):
        assert 1 == 2
class Own:
    def run(self):
        assert 1 == 2
class Careless:
    def run(self):
        try:
            assert 1 == 2
        except Exception as error:
            self.logger.exception(error)
    class logger:
        exception = print
"""
CHILD = "[sys.executable, '-c', 'assert 0']"
# Each ends with 0 although `test` fails; the first of these are refused, as nothing else decides.
CERTAIN = {
    "an object": ["Own()"],
    "an object with a name": ["own = Own()", "print(own)"],
    "a test case": ["Case('test_a')"],
    "a suite": ["suite = unittest.defaultTestLoader.loadTestsFromTestCase(Case)", "print('done')"],
    "a case that runs by itself": ["Case('test_a').run()"],
    "a result that nobody reads": ["unittest.TestSuite([Case('test_a')]).run(unittest.TestResult())"],
    "a result with a name": [
        "r = unittest.TestResult()",
        "unittest.TestSuite([Case('test_a')]).run(r)",
        "print(r)",
    ],
    "a method that is not called": ["Own().run"],
    "a function that is not called": ["print('go')", "test"],
    "an end in the middle": ["print('go')", "sys.exit(0)", "test()"],
    "another name for it": ["run = os.system", "run('python3 -c \"assert 0\"')"],
    "False as an exit code": ["sys.exit(went_well())"],
    "what runs another file": [
        "try:",
        "    runpy.run_path('not_there.py')",
        "except Exception:",
        "    print('no')",
    ],
    "exec": ["try:", "    exec('assert 0')", "except AssertionError as error:", "    print(error)"],
}
PERHAPS = {
    "a with around a process": [f"with subprocess.Popen({CHILD}) as p:", "    pass"],
    "a process that is read": [
        f"with subprocess.Popen({CHILD}, stdout=subprocess.PIPE) as p:",
        "    for line in p.stdout:",
        "        print(line)",
    ],
    "a process that is polled": [
        f"p = subprocess.Popen({CHILD})",
        "while p.poll() is None:",
        "    time.sleep(0.1)",
    ],
    "a process whose number is printed": [f"p = subprocess.Popen({CHILD})", "print(p.pid)", "p.wait()"],
    "exceptions beside a task that is cancelled": [
        *(
            "async def go():",
            "    test()",
            "async def main():",
            "    other = asyncio.create_task(asyncio.sleep(1))",
        ),
        *("    other.cancel()", "    await asyncio.gather(go(), return_exceptions=True)", "asyncio.run(main())"),
    ],
    "processes in a list": [
        "some = []",
        "for _ in range(2):",
        f"    some.append(subprocess.Popen({CHILD}))",
        "for one in some:",
        "    one.wait()",
    ],
    "a process of asyncio's": [
        "async def main():",
        "    p = await asyncio.create_subprocess_exec(sys.executable, '-c', 'assert 0')",
        "    await p.wait()",
        "asyncio.run(main())",
    ],
    "a worker that nobody joins": ["multiprocessing.Process(target=test).start()"],
    "workers of a context": [
        "context = multiprocessing.get_context('fork')",
        "some = [context.Process(target=test) for _ in range(2)]",
        "[one.start() for one in some]",
        "[one.join() for one in some]",
    ],
    "futures that are waited for": [
        "with ThreadPoolExecutor() as pool:",
        "    futures = [pool.submit(test) for _ in range(2)]",
        "    wait(futures)",
    ],
    "futures that are counted": [
        "with ThreadPoolExecutor() as pool:",
        "    futures = [pool.submit(test) for _ in range(2)]",
        "    for one in as_completed(futures):",
        "        print(one)",
    ],
    "a future of a lambda": ["with ThreadPoolExecutor() as pool:", "    pool.submit(lambda: test())"],
    "a thread of a lambda": ["t = threading.Thread(target=lambda: test())", "t.start()", "t.join()"],
    "a timer": ["threading.Timer(0.01, test).start()"],
    "exceptions that are only printed": [
        "async def go():",
        "    test()",
        "async def main():",
        "    found = await asyncio.gather(go(), return_exceptions=True)",
        "    for one in found:",
        "        print(one)",
        "asyncio.run(main())",
    ],
    "results that are only printed": [
        "found = {}",
        "for one in [test]:",
        "    try:",
        "        one()",
        "        found[one] = True",
        "    except Exception:",
        "        found[one] = False",
        "for one, good in found.items():",
        "    print(one, 'PASS' if good else 'FAIL')",
    ],
    "failures in a list": [
        "bad = []",
        "for one in [test]:",
        "    try:",
        "        one()",
        "    except Exception:",
        "        bad.append(one)",
        "print(len(bad), 'failed')",
    ],
    "a class that catches": ["Careless().run()"],
    "a context that catches": ["with guard():", "    test()"],
    "a comparison alone": ["print('go')", "1 == 2"],
    "what finds out goes nowhere": ["math.isclose(1, 2)"],
    "an assertion of a function": ["assert test"],
    "an assertion of a text": ["assert 'a == b'"],
    "a function that is never called": ["def inner():", "    assert 0", "print('go')"],
    "whether two are the same": ["same()"],
    "a helper that runs": ["run_it(['python3', '-c', 'assert 0'])"],
}
HELPERS = """\
def went_well():
    try:
        test()
        return True
    except AssertionError:
        return False
def same():
    good = 1 == 2
    print(good)
    return good
def run_it(words):
    return subprocess.run(words, capture_output=True)
@contextlib.contextmanager
def guard():
    try:
        yield
    except Exception as error:
        print(error)
"""


def _program(lines: list[str]) -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f'{TEST}{HELPERS}if __name__ == "__main__":\n{body}\n'


def _lost(text: str) -> tuple[LostResult, ...]:
    tree = ast.parse(text)
    return lost_results(main_blocks(tree)[0], Names(tree))


@pytest.mark.parametrize("name", CERTAIN)
def test_what_never_runs_is_found_for_certain(name: str) -> None:
    lost = _lost(_program(CERTAIN[name]))
    assert any(one.certain for one in lost), lost


@pytest.mark.parametrize("name", PERHAPS)
def test_what_nobody_asks_is_told_and_not_refused(name: str) -> None:
    lost = _lost(_program(PERHAPS[name]))
    assert lost and not any(one.certain for one in lost), lost


@pytest.mark.slow
def test_all_of_these_are_green_over_a_failure(tmp_path: Path) -> None:
    """That these are faults is no opinion: Python itself exits with 0."""
    running = {}
    for name, lines in (CERTAIN | PERHAPS).items():
        file = tmp_path / f"{len(running)}.py"
        file.write_text(_program(lines))
        running[name] = subprocess.Popen(
            [sys.executable, file], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if len(running) % 4 == 0:
            for one in running.values():
                one.wait()
    assert {name: one.wait() for name, one in running.items() if one.wait()} == {}


SOUND = {
    "a process that is asked": [f"p = subprocess.Popen({CHILD})", "p.wait()", "assert p.returncode == 0"],
    "a process whose wait counts": [f"p = subprocess.Popen({CHILD})", "sys.exit(p.wait())"],
    "a server that is ended": [f"p = subprocess.Popen({CHILD})", "test()", "p.terminate()"],
    "a process that is handed on": [f"p = subprocess.Popen({CHILD})", "check(p)"],
    "a process whose number is handed on": [f"p = subprocess.Popen({CHILD})", "end(p.pid)", "p.wait()"],
    "tasks that are cancelled": [
        *("async def main():", "    some = {1: asyncio.create_task(go())}", "    for one in some.values():"),
        *("        one.cancel()", "    await asyncio.gather(*some.values(), return_exceptions=True)"),
        *("    last.cancel()", "    await asyncio.wait([last])", "asyncio.run(main())"),
    ],
    "what is closed": [
        "async def main():",
        "    await asyncio.gather(*(one.aclose() for one in some), return_exceptions=True)",
        "asyncio.run(main())",
    ],
    "futures that are asked": [
        "with ThreadPoolExecutor() as pool:",
        "    futures = [pool.submit(test) for _ in range(2)]",
        "    for one in as_completed(futures):",
        "        one.result()",
    ],
    "a wait whose rest is asserted": [
        "async def go():",
        "    done, pending = await asyncio.wait(some, timeout=1)",
        "    assert not pending",
        "asyncio.run(go())",
    ],
    "a task that is awaited": [
        "async def go():",
        "    task = asyncio.create_task(other())",
        "    await task",
        "asyncio.run(go())",
    ],
    "an object that works": ["Worker()"],
    "failures that count": [
        "bad = []",
        "for one in [test]:",
        "    try:",
        "        one()",
        "    except Exception:",
        "        bad.append(one)",
        "assert not bad",
    ],
    "an inner function that is called": ["def inner():", "    assert 0", "inner()"],
    "an end after the tests": ["test()", "sys.exit(0)"],
    "a function as an exit code": ["sys.exit(0 if went_well() else 1)"],
    "a suite that is run": [
        "suite = unittest.defaultTestLoader.loadTestsFromTestCase(Case)",
        "result = unittest.TestResult()",
        "suite.run(result)",
        "assert result.wasSuccessful()",
    ],
}
WORKER = "class Worker:\n    def __init__(self):\n        assert 1 == 2\n"


@pytest.mark.parametrize("name", SOUND)
def test_what_is_asked_is_left_alone(name: str) -> None:
    assert _lost(WORKER + _program(SOUND[name])) == ()


RAY = """\
import ray
@ray.remote
def work(i):
    assert 0
@ray.remote
class Actor:
    def go(self):
        assert 0
"""


@pytest.mark.parametrize(
    ("line", "lost"),
    [
        ("ray.wait([work.remote(1)])", True),
        ("some = [work.remote(i) for i in range(2)]; print(len(some))", True),
        ("actor = Actor.remote(); ray.wait([actor.go.remote()])", True),
        ("ray.get([work.remote(i) for i in range(2)])", False),
        ("actor = Actor.remote()", False),
    ],
)
def test_a_task_of_ray_that_nobody_gets_is_told(line: str, lost: bool) -> None:
    assert bool(_lost(f"{RAY}if __name__ == '__main__':\n    {line}\n")) is lost


@pytest.mark.parametrize(
    ("line", "lost"),
    [
        ("mp.spawn(work, nprocs=2, join=False)", True),
        ("c = mp.spawn(work, nprocs=2, join=False)\n    for p in c.processes:\n        p.join()", True),
        ("c = mp.spawn(work, nprocs=2, join=False)\n    c.join()", False),
        ("mp.spawn(work, nprocs=2)", False),
    ],
)
def test_ranks_that_nobody_joins_are_told(line: str, lost: bool) -> None:
    text = "import torch.multiprocessing as mp\ndef work(rank):\n    assert 0\nif __name__ == '__main__':\n"
    assert bool(_lost(f"{text}    {line}\n")) is lost


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("def test_a():\n    return\n    assert 0\n", "the test returns here, before it asserts"),
        (
            "import os\ndef test_a():\n    if not os.environ.get('X'):\n        return\n    assert 0\n",
            "passes here",
        ),
        ("def test_a():\n    assert 0\ndef test_a():\n    pass\n", "another `test_a`, in line 3, takes the place"),
        ("class TestA:\n    def test_a(self):\n        assert 0\n    def test_a(self):\n        pass\n", "another"),
        ("def test_a():\n    def inner():\n        assert 0\n", "`inner` is defined here and never called"),
        ("def test_a():\n    x = 1\n    x == 2\n", "a comparison alone asserts nothing"),
        ("def test_a():\n    assert lambda: False\n", "`assert` of a lambda is always true"),
        ("def test_a():\n    if x():\n        return\n    assert 0\n", ""),
        ("def test_a():\n    def inner():\n        assert 0\n    run(inner)\n", ""),
        ("import pytest\ndef test_a():\n    pytest.skip('x')\n    assert 0\n", ""),
        (
            "def test_a():\n    if 'X' not in os.environ:\n        skip()\n        return\n    assert 0\n",
            "",
        ),
        (
            "def test_a(x):\n    assert x\n    if not torch.cuda.is_available():\n        return\n    assert 0\n",
            "",
        ),
    ],
)
def test_a_single_test_that_cannot_fail_is_told(text: str, lost: str) -> None:
    tree = ast.parse(text)
    found = lost_in_tests(tree, Names(tree))
    assert (lost in str(found[0]) and not found[0].certain) if lost else found == ()


@pytest.mark.parametrize("how", ["os._exit(0)", "sys.exit(0)", "raise SystemExit"])
def test_a_phase_that_ends_in_the_middle_is_refused(how: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        textwrap.dedent(f"""
        import os, sys
        from trainci.testing import main
        def prepare():
            pass
        def execute():
            print("go")
            {how}
            assert False
        if __name__ == "__main__":
            main(prepare=prepare, execute=execute)
        """)
    )
    says = PythonFile().read(Source(tmp_path, "a.py"))
    assert says.phased and "a.py:8: the program ends here, before what follows" in says.refusal


def test_a_program_without_a_main_block_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import pytest\npytest.main([__file__])\n")
    assert (
        "a.py:2: the exit code of `pytest.main` goes nowhere" in PythonFile().read(Source(tmp_path, "a.py")).refusal
    )


@pytest.mark.slow
def test_a_thousand_processes_are_read_in_time() -> None:
    lines = [f"p{number} = subprocess.Popen(['python'])" for number in range(3000)]
    began = time.process_time()
    assert _lost(_program(lines))
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "text",
    [
        "import pytest; pytest.main(['tests'])",
        "import subprocess; subprocess.run(['python3', '-c', 'assert 0'])",
        "try:\n    assert 0\nexcept Exception:\n    pass",
    ],
)
def test_the_text_of_python_c_is_read(text: str, repository: Any) -> None:
    assert "python -c: " in Words().read(Source(repository.root, "", ("python3", "-c", text))).refusal
    assert Words().read(Source(repository.root, "", ("python3", "-c", "assert 0"))).refusal == ""
