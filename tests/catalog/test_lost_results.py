"""A `__main__` block that throws away how its tests went is found, and one that does not is left alone."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.catalog.lost import LostResult
from trainci.catalog.main_block import main_blocks
from trainci.catalog.names import Names
from trainci.catalog.python.lost import lost_in_tests, lost_results
from trainci.catalog.styles.base import Source
from trainci.catalog.styles.pytest import Pytest
from trainci.catalog.styles.python import PythonFile

HEAD = "import pytest, subprocess, sys, os, unittest\n"


def found(text: str) -> tuple[LostResult, ...]:
    tree = ast.parse(HEAD + textwrap.dedent(text))
    return lost_results(main_blocks(tree)[0], Names(tree))


def block(*lines: str, before: str = "") -> tuple[LostResult, ...]:
    body = "\n".join(f"    {line}" for line in lines)
    return found(f'{before}\nif __name__ == "__main__":\n{body}\n')


# Each of these is green whatever the tests say, and certainly so.
CERTAIN = {
    "pytest": ["pytest.main([__file__])"],
    "pytest, then a success": ["pytest.main([__file__])", "sys.exit(0)"],
    "pytest, printed": ["print(pytest.main([__file__]))"],
    "pytest, kept in a name": ["code = pytest.main([__file__])"],
    "pytest, kept and printed": ["code = pytest.main([__file__])", "print(f'done: {code}')"],
    "pytest under another name": ["import pytest as pt", "pt.main()"],
    "pytest's main by itself": ["from pytest import main", "main([__file__])"],
    "pytest's console": ["pytest.console_main()"],
    "inside a with": ["with open(os.devnull):", "    pytest.main([__file__])"],
    "inside a try": ["try:", "    pytest.main([__file__])", "finally:", "    print('end')"],
    "unittest": ["unittest.main(exit=False)"],
    "unittest's program": ["unittest.TestProgram(exit=False)"],
    "a runner": ["unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite())"],
    "a runner with a name": ["runner = unittest.TextTestRunner()", "runner.run(unittest.TestSuite())"],
    "a runner, printed": ["result = unittest.TextTestRunner().run(unittest.TestSuite())", "print(result)"],
    "a command": ["subprocess.run([sys.executable, '-m', 'pytest', __file__])"],
    "a command as text": ["subprocess.run('torchrun train.py', shell=True)"],
    "a command that is called": ["subprocess.call(['python3', 'train.py'])"],
    "a command, checked by false": ["subprocess.run(['bash', 'run.sh'], check=False)"],
    "the system": ["os.system('pytest tests')"],
    "the system, by a format": ["os.system(f'python {__file__}')"],
    "doctest": ["import doctest", "doctest.testmod()"],
    "nothing": ["pass"],
    "an ellipsis": ["..."],
    "a text": ["'run me'"],
    "a line of output": ["import logging", "print('run me with pytest')"],
    "a name that is not called": ["pytest.main"],
    "a failure that is only printed": ["try:", "    test()", "except Exception as error:", "    print(error)"],
    "an exit before the tests": ["sys.exit(0)", "test()"],
    "a failure that ends in success": ["try:", "    test()", "except Exception:", "    os._exit(0)"],
    "a failure that is said, then a success": [
        "try:",
        "    test()",
        "except:",
        "    print('no')",
        "    sys.exit()",
    ],
    "a success at last": ["try:", "    test()", "finally:", "    raise SystemExit"],
    "a process without a name": ["subprocess.Popen([sys.executable, '-m', 'pytest', __file__]).wait()"],
    "a process whose output is read": ["print(subprocess.Popen('pytest x.py', shell=True).communicate())"],
    "good and bad turned round": ["result = unittest.main(exit=False).result", "sys.exit(result.wasSuccessful())"],
    "a failure that is passed over": ["try:", "    test()", "except:", "    pass"],
    "an assertion that is caught": ["try:", "    assert 0", "except AssertionError as e:", "    print(e)"],
    "a failure that is written": ["try:", "    test()", "except Exception as e:", "    sys.stderr.write(str(e))"],
    "a command that is caught": [
        "try:",
        "    subprocess.check_call(['python', 'x.py'])",
        "except subprocess.CalledProcessError:",
        "    print('no')",
    ],
    "the system's status as an exit code": ["sys.exit(os.system('python x.py'))"],
    "the system's status in a name": ["code = os.system('python x.py')", "sys.exit(code)"],
    "success that nobody asks": ["result = unittest.main(exit=False).result", "sys.exit(not result.wasSuccessful)"],
    "pytest that runs nothing": ["sys.exit(pytest.main([__file__, '--setup-plan']))"],
    "a pipe in a command": ["subprocess.run('python x.py | tee log', shell=True, check=True)"],
    "a pipe in a shell": ["subprocess.check_call(['bash', '-c', f'python {__file__} | cat'])"],
    "a command that is always good": ["subprocess.run('python x.py || true', shell=True, check=True)"],
    "a code that is only told": ["code = pytest.main([__file__])", "if code != 0:", "    print('failed')"],
    "a code that is only told at once": ["if pytest.main([__file__]) != 0:", "    print('failed')"],
    "failures that are suppressed": ["import contextlib", "with contextlib.suppress(Exception):", "    test()"],
    "failures that are printed one by one": [
        "for one in [test]:",
        "    try:",
        "        one()",
        "    except Exception as error:",
        "        print(error)",
    ],
    "an assertion of two": ["assert (1 == 2, 'no')"],
    "a lambda": ["lambda: test()"],
    "a generator": ["(test() for _ in range(3))"],
    "a map": ["map(lambda _: test(), [1])"],
    "a part": ["import functools", "functools.partial(test)"],
    "exceptions that are gathered": [
        "import asyncio",
        "asyncio.run(asyncio.gather(test(), return_exceptions=True))",
    ],
}
TEST = "def test():\n    assert False\n"


@pytest.mark.parametrize("name", CERTAIN)
def test_a_result_that_goes_nowhere_is_found_for_certain(name):
    lost = block(*CERTAIN[name], before=TEST)
    assert lost and lost[0].certain, name


GREEN = [
    "pytest",
    "unittest",
    "a runner",
    "a failure that is only printed",
    "nothing",
    "a line of output",
    "an assertion that is caught",
]
GREEN += ["the system's status as an exit code", "success that nobody asks", "pytest that runs nothing", "a lambda"]
GREEN += ["an assertion that is caught"]
GREEN += ["a pipe in a command", "a code that is only told", "a generator", "a map", "a failure that is written"]


@pytest.mark.slow
@pytest.mark.parametrize("name", GREEN)
def test_such_a_file_is_green_over_a_failing_test(name, tmp_path):
    """That these are faults is no opinion: Python itself exits with 0."""
    file = tmp_path / "test_x.py"
    body = "\n".join(f"    {line}" for line in CERTAIN[name])
    file.write_text(f'{HEAD}{TEST}\nif __name__ == "__main__":\n{body}\n')
    assert subprocess.run([sys.executable, file], capture_output=True, cwd=tmp_path).returncode == 0


FUNCTIONS = {
    "a function": ("def main():\n    pytest.main([__file__])\n", ["main()"]),
    "a function of a function": ("def a():\n    b()\ndef b():\n    os.system('python x.py')\n", ["a()"]),
    "a function that returns it": ("def main():\n    return pytest.main([__file__])\n", ["main()"]),
    "two functions that return it": ("def a():\n    return pytest.main()\ndef b():\n    return a()\n", ["b()"]),
    "a coroutine": ("import asyncio\nasync def main():\n    pytest.main([__file__])\n", ["asyncio.run(main())"]),
    "a coroutine that nobody awaits": ("async def main():\n    assert False\n", ["main()"]),
    "a generator": ("def main():\n    yield\n    assert False\n", ["main()"]),
    "a function handed on": ("import fire\ndef main():\n    pytest.main([__file__])\n", ["fire.Fire(main)"]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_is_found_in_functions_that_the_block_calls(name):
    before, lines = FUNCTIONS[name]
    (lost,) = block(*lines, before=before)
    assert lost.certain


WENT_WELL = "def went_well():\n    if sys.argv:\n        return False\n    return True\n"
# It may go nowhere, and something else may decide.
UNCERTAIN = {
    "codes of many that are only printed": [
        "codes = Parallel(n_jobs=2)(delayed(went_well)(file) for file in ('a.py', 'b.py'))",
        "print(codes)",
    ],
    "under a condition": ["if len(sys.argv) > 1:", "    pytest.main([__file__])", "else:", "    test()"],
    "a process without a look at its end": ["process = subprocess.Popen(['python'])", "process.wait()"],
    "an unknown process": ["subprocess.Popen(command).wait()"],
    "an unknown command": ["subprocess.run(command)"],
    "tries of which nobody asks whether one was good": [
        *("for one in range(3):", "    try:", "        test()", "        break"),
        *("    except Exception as error:", "        print(error)", "        time.sleep(1)"),
    ],
    "futures whose failures are only printed": [
        *("for one in futures:", "    try:", "        one.result()", "    except Exception as error: print(error)"),
    ],
    "a flag that says that it went well": [
        "good = False",
        "for one in [test]:",
        "    try:",
        "        one()",
        "        good = True",
        "    except Exception as error:",
        "        print(error)",
        "assert good",
    ],
    "suppressed by a stack": [
        "import contextlib",
        "with contextlib.ExitStack() as stack:",
        "    stack.enter_context(contextlib.suppress(Exception))",
        "    test()",
    ],
    "a future": ["from concurrent.futures import *", "with ThreadPoolExecutor() as pool:", "    pool.submit(test)"],
    "a task of ray": ["test.remote()"],
    "whether it went well": ["went_well()"],
    "a worker": ["import multiprocessing as mp", "p = mp.Process(target=test)", "p.start()", "p.join()"],
    "a worker that asserts, and shares": [
        "import multiprocessing as mp",
        "q = mp.Queue()",
        "p = mp.Process(target=test, args=(q,))",
        *("p.start()", "p.join()", "assert q.get()"),
    ],
    "a thread that asserts, and nobody waits for": [
        "import threading",
        "threading.Thread(target=test, daemon=True).start()",
    ],
    "a thread": ["import threading", "threading.Thread(target=test).start()"],
    "threads": [
        "import threading",
        "some = [threading.Thread(target=test) for _ in range(2)]",
        "for one in some:",
        "    one.start()",
    ],
    "workers": [
        "import multiprocessing as mp",
        "some = [mp.Process(target=test) for _ in range(2)]",
        "for one in some:",
        "    one.start()",
        "    one.join()",
    ],
    "processes": ["some = [subprocess.Popen('x') for _ in range(2)]", "for one in some:", "    one.wait()"],
    "a process of a named command": ["subprocess.Popen(COMMAND)"],
    "only the output of a named command": ["print(subprocess.run(COMMAND, capture_output=True).stdout)"],
    "a process that nobody waits for": ["subprocess.Popen(['python', 'x.py'])"],
    "futures in a list": [
        "from concurrent.futures import ThreadPoolExecutor",
        "with ThreadPoolExecutor() as pool:",
        "    futures = [pool.submit(test) for _ in range(2)]",
    ],
    "a map of a pool": [
        "from concurrent.futures import ThreadPoolExecutor",
        "with ThreadPoolExecutor() as pool:",
        "    pool.map(test, [1])",
    ],
    "a task": ["import asyncio", "asyncio.create_task(test())"],
    "a failure that is counted": [
        "bad = 0",
        "for one in [test]:",
        "    try:",
        "        one()",
        "    except Exception:",
        "        bad += 1",
        "print(bad)",
    ],
    "a failure after which it goes on": [
        "for one in [test]:",
        "    try:",
        "        one()",
        "    except Exception as e:",
        "        print(e)",
        "        continue",
    ],
    "a finally that leaves": ["for one in [test]:", "    try:", "        one()", "    finally:", "        break"],
    "only the output": ["print(subprocess.run(['python', 'x.py'], capture_output=True).stdout)"],
    "the output of a system": ["print(os.popen('python x.py').read())"],
    "a status that nobody asks": ["status, text = subprocess.getstatusoutput('python x.py')", "print(text)"],
    "a fork": ["os.waitpid(os.fork(), 0)"],
    "an end at the exit": ["import atexit", "atexit.register(os._exit, 0)", "test()"],
    "an end by a hook": ["sys.excepthook = lambda *_: os._exit(0)", "test()"],
}
DECORATED = """
def safe(function):
    def inner():
        try:
            function()
        except Exception as error:
            print(error)
    return inner

@safe
def bad():
    assert False
"""
AROUND = {
    "a class that is silent": (
        "class Quiet:\n    def __enter__(self): pass\n    def __exit__(self, *a): return True\n",
        ["with Quiet():", "    test()"],
    ),
    "a decorator": (DECORATED, ["bad()"]),
    "a function that returns": (
        "def main():\n    try:\n        test()\n    except Exception as e:\n        print(e)\n        return\n",
        ["main()"],
    ),
    "a thread of its own class": (
        "import threading\nclass T(threading.Thread):\n    def run(self):\n        test()\n",
        ["T().start()"],
    ),
}


@pytest.mark.parametrize("name", AROUND)
def test_what_the_file_itself_puts_around_its_tests_is_followed(name):
    before, lines = AROUND[name]
    lost = block(*lines, before=TEST + before)
    assert lost and not any(one.certain for one in lost)


THREAD = "    import threading\n    threading.Thread(target=go).start()\n"


def in_tests(text: str) -> tuple[LostResult, ...]:
    tree = ast.parse(HEAD + textwrap.dedent(text))
    return lost_in_tests(tree, Names(tree))


@pytest.mark.parametrize(
    "text",
    [
        "def test_a():\n    try:\n        assert 0\n    except Exception:\n        print('no')\n",
        "class TestA:\n    def test_a(self):\n        assert (1 == 2, 'no')\n",
        "class TestA:\n    def test_a(self):\n        try:\n            self.assertTrue(0)\n        except: pass\n",
        "@pytest.fixture\ndef a():\n    yield\n    try:\n        assert 0\n    except Exception:\n        pass\n",
        "def test_a():\n    with pytest.raises(Exception):\n        assert loss == 1\n",
        "async def test_a():\n    subprocess.run(['python', 'x.py'])\n",
        "def test_a():\n    return 1 == 2\n",
        "def test_a():\n    return all(good)\n",
        "def test_a():\n    return not bad\n",
        "def test_a():\n    if bad:\n        return False\n    assert good\n",
        "def go():\n    assert 0\ndef test_a():\n    with pytest.raises(Exception):\n        go()\n",
        "def test_a():\n    mock.assert_called_once\n",
        "def test_a():\n    mock.called_once_with(1)\n",
        "def test_a():\n    self.assertTrue(loss, 2)\n",
        "def test_a():\n    assert [x == 1 for x in found]\n",
        "def test_a():\n    assert torch.isfinite(loss).all\n",
        "async def go():\n    assert 0\ndef test_a():\n    go()\n",
        "def test_a():\n    async def go():\n        assert 0\n    go()\n",
        "class TestA:\n    async def go(self):\n        assert 0\n    def test_a(self):\n        self.go()\n",
        "def test_a():\n    if loss != loss:\n        warnings.warn('the loss is nan')\n",
        "def test_a():\n    try:\n        assert 0\n    except Exception as e:\n        pytest.skip(str(e))\n",
        "def test_a():\n    try:\n        go()\n    except TimeoutError:\n        print('too long')\n",
        "class TestA(unittest.TestCase):\n    async def test_a(self):\n        assert 0\n",
        "def test_a():\n    def go():\n        assert 0\n" + THREAD,
    ],
)
def test_what_a_single_test_throws_away_is_told(text):
    assert [one.certain for one in in_tests(text)] == [False]


CAUGHT = "    except AssertionError:\n        pass\n"


@pytest.mark.parametrize(
    ("inside", "after", "told"),
    [
        ("        go()\n        good = True\n", "    assert good\n", False),
        ("        good = True\n        go()\n", "    assert good\n", True),
        ("        go()\n        good = True\n", "    print(good)\n", True),
        ("        with pytest.warns(W):\n            go()\n        bad = True\n", "    assert not bad\n", False),
        ("        with self.assertLogs():\n            go()\n            bad = 1\n", "    assert not bad\n", False),
        ("        with pytest.warns(W):\n            assert go()\n            bad = 1\n", "    assert bad\n", True),
        ("        with pytest.warns(W):\n            go()\n", "", True),
        ("        go()\n        pytest.fail('no error')\n", "", False),
        ("        go()\n        raise ValueError\n", "", False),
        ("        go()\n        self.fail('no error')\n", "", True),
        ("        go()\n        assert False\n", "", True),
        ("        go()\n", "    else:\n        self.fail('no error')\n", False),
        ("        go()\n", "    else:\n        print('no error')\n", True),
    ],
)
def test_a_failure_that_must_come_or_of_which_something_else_is_made_is_none(inside, after, told):
    assert len(in_tests(f"def test_a(self):\n    try:\n{inside}{CAUGHT}{after}")) == told


def test_what_a_single_test_throws_away_is_told_of_a_program_that_runs_a_framework_too(tmp_path):
    text = "class TestA(unittest.TestCase):\n    async def test_a(self):\n        assert 0\n"
    (tmp_path / "test_a.py").write_text(HEAD + text + 'if __name__ == "__main__":\n    unittest.main()\n')
    remarks = PythonFile().read(Source(tmp_path, "test_a.py")).remarks
    assert ["unittest does not await" in said for _, said in remarks] == [True]


def test_a_single_test_that_heeds_its_results_is_left_alone():
    assert (
        in_tests("def test_a():\n    with pytest.raises(ValueError):\n        int('x')\n    assert (1, 2)[0]\n")
        == ()
    )
    assert (
        in_tests("class A(unittest.IsolatedAsyncioTestCase):\n    async def test_a(self):\n        assert 1\n")
        == ()
    )
    assert in_tests("def test_a():\n    with pytest.raises(Exception, match='no'):\n        assert 1\n") == ()
    raises = "def test_a():\n    with pytest.raises(Exception):\n        go()\n"
    assert in_tests("def go():\n    raise ValueError\n" + raises) == ()
    assert in_tests("def test_a():\n    return None\ndef test_b():\n    return make(loss)\n") == ()
    assert in_tests("def test_a():\n    mock.assert_called_once()\n    assert [x for x in found if x]\n") == ()
    assert in_tests("def test_a():\n    self.assertTrue(loss, 'it is 2')\n") == ()
    keeps = "def go():\n    try:\n        assert 0\n    except Exception as error:\n        raised.append(error)\n"
    assert in_tests(f"{keeps}def test_a():\n{THREAD}    assert not raised\n") == ()
    assert in_tests(f"{keeps.replace('raised.append', 'print')}def test_a():\n{THREAD}    assert not raised\n")
    assert in_tests("def helper():\n    try:\n        assert 0\n    except Exception:\n        pass\n") == ()


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_may_go_nowhere_is_told_and_not_refused(name):
    lost = block(*UNCERTAIN[name], before=TEST + WENT_WELL + "command = []\nCOMMAND = [sys.executable, 'x.py']\n")
    assert lost and not any(one.certain for one in lost)


TOLD = "if bad:\n        print('FAILED: 1 test')\n"
EACH = "found = go()\n    for name, good in found.items():\n        print(name, 'PASS' if good else 'FAIL')\n"
COLLECTED = "class Plain:\n    def __init__(self): pass\n    def run(self): assert 1\ndef test_a():\n    assert 1\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"def test_a():\n    bad = go()\n    {TOLD}", 1),
        (f"def test_a():\n    bad = go()\n    {TOLD}    assert not bad\n", 0),
        (f"def test_a():\n    bad = go()\n    {TOLD}        raise ValueError\n", 0),
        (f"def test_a():\n    bad = go()\n    {TOLD}    else:\n        print('all is well')\n", 1),
        (f"def test_a():\n    {EACH}", 1),
        (f"def test_a():\n    {EACH}    assert all(found.values())\n", 0),
        ("def test_a():\n    if slow:\n        print('this takes long')\n    assert go()\n", 0),
    ],
)
def test_a_failure_of_which_nothing_comes_but_a_line_is_told(text, expected):
    assert len(in_tests(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class TestA:\n    def __init__(self): pass\n    def test_a(self): assert 1\n", "with an `__init__`"),
        ("class LossTest:\n    def test_a(self): assert 1\n", "no class that is called `LossTest`"),
        ("class TestA:\n    __test__ = False\n    def test_a(self): assert 1\n", "`__test__` leaves"),
        ("def check_a():\n    assert 1\n", "`check_a` is called like no test"),
        ("class Mixin:\n    def test_a(self): assert 1\nclass TestA(Mixin):\n    x = 1\n", ""),
        ("class Base:\n    __test__ = False\n    def test_a(self): assert 1\nclass TestA(Base): pass\n", ""),
        ("def check_a():\n    assert 1\ndef test_a():\n    check_a()\n", ""),
        ("def check_a(x):\n    assert x\n@pytest.fixture\ndef a():\n    assert 1\n", ""),
        (COLLECTED, ""),
    ],
)
def test_what_looks_like_a_test_and_is_never_collected_is_told(tmp_path, text, expected):
    (tmp_path / "test_a.py").write_text(text)
    said = [sentence for _, sentence in Pytest().read(Source(tmp_path, "test_a.py")).remarks]
    assert [expected in sentence for sentence in said] == [True] * bool(expected)
    (tmp_path / "pytest.ini").write_text("[pytest]\npython_classes = *Test\npython_functions = check_*\n")
    assert not Pytest().read(Source(tmp_path, "test_a.py")).remarks, "it has names of its own for tests"


COROUTINES = "async def awaited():\n    assert False\nasync def outer():\n    await awaited()\n"
SOUND = {
    "exit": ["sys.exit(pytest.main([__file__]))"],
    "raise": ["raise SystemExit(pytest.main([__file__]))"],
    "a name that is used": ["code = pytest.main([__file__])", "sys.exit(code)"],
    "a name that is compared": ["code = pytest.main([__file__])", "assert code == 0"],
    "printed and used": ["code = pytest.main([__file__])", "print(code)", "sys.exit(code)"],
    "in a condition": ["if pytest.main([__file__]):", "    sys.exit(1)"],
    "unittest": ["unittest.main()"],
    "unittest, used": ["program = unittest.main(exit=False)", "sys.exit(not program.result.wasSuccessful())"],
    "a runner": ["result = unittest.TextTestRunner().run(suite)", "sys.exit(not result.wasSuccessful())"],
    "a command that is checked": ["subprocess.run(['python', 'x.py'], check=True)"],
    "a command that checks itself": ["subprocess.check_call(['python', 'x.py'])"],
    "a status that is looked at": ["c, o = subprocess.getstatusoutput('python x.py')", "assert c == 0"],
    "a status beside a name that is not used": ["_, status = os.waitpid(os.fork(), 0)", "assert status == 0"],
    "a pipe that is closed": ["f = os.popen('python x.py')", "assert f.close() is None"],
    "a command whose code is looked at": ["done = subprocess.run(['python'])", "assert done.returncode == 0"],
    "a cleaning up": ["subprocess.run(['pkill', '-9', 'sglang'])", "test()"],
    "a cleaning up by the system": ["os.system('rm -rf /tmp/x')", "test()"],
    "a cleaning up that is put together": [
        "os.system('rm -rf {}'.format(__file__ + 'x'))",
        "os.system(' '.join(['mkdir', '-p', __file__ + 'x']))",
        "test()",
    ],
    "a test called": ["test()"],
    "a failure that is raised again": ["try:", "    test()", "except Exception:", "    print('no')", "    raise"],
    "a failure that exits": ["try:", "    test()", "except Exception:", "    sys.exit(1)"],
    "an import that may be missing": ["try:", "    import torch", "except Exception:", "    pass", "test()"],
    "an early success": ["if not sys.argv:", "    sys.exit(0)", "test()"],
    "a success at the end": ["test()", "sys.exit(0)"],
    "an exit code handed on": [
        "try:",
        "    test()",
        "except SystemExit as error:",
        "    sys.exit(error.code)",
    ],
    "whether it went well, used": ["sys.exit(not went_well())"],
    "a coroutine": ["import asyncio", "asyncio.run(awaited())"],
    "a coroutine in a coroutine": ["import asyncio", "asyncio.run(outer())"],
    "os._exit": ["os._exit(pytest.main())"],
    "a code that decides": ["if pytest.main([__file__]) != 0:", "    print('failed')", "    sys.exit(1)"],
    "a status that is made a code": ["sys.exit(os.waitstatus_to_exitcode(os.system('x')))"],
    "a failure that is counted": [
        "bad = 0",
        "try:",
        "    test()",
        "except Exception:",
        "    bad += 1",
        "sys.exit(bad)",
    ],
    "failures that are kept": [
        "errors = []",
        "try:",
        "    test()",
        "except Exception as e:",
        "    errors.append(e)",
        "assert not errors",
    ],
    "a pipe that tells": ["subprocess.run('set -o pipefail; python x.py | cat', shell=True, check=True)"],
    "results that are asked": [
        "from concurrent.futures import ThreadPoolExecutor",
        "with ThreadPoolExecutor() as pool:",
        "    print(list(pool.map(test, [1])))",
        "    for one in [pool.submit(test)]:",
        "        one.result()",
    ],
    "workers that are asked": [
        "import multiprocessing as mp",
        "some = [mp.Process(target=test) for _ in range(2)]",
        "for one in some:",
        "    one.join()",
        "    assert one.exitcode == 0",
    ],
    "a worker that answers by what is shared": [
        "import multiprocessing as mp",
        "answers = mp.get_context('spawn').Queue()",
        "p = mp.Process(target=went_well, args=(answers,))",
        "p.start()",
        "assert answers.get(timeout=60) == 4",
        "p.join()",
    ],
    "a thread that serves to the end": [
        "import threading",
        "threading.Thread(target=went_well, daemon=True).start()",
    ],
    "a thread of somebody else's": ["import threading", "threading.Thread(target=os.getpid).start()", "test()"],
    "a condition that tells": ["if len(sys.argv) > 1:", "    print('more')", "test()"],
    "an exit code that is computed": [
        "code = 1",
        "try:",
        "    code = went_well()",
        "except Exception:",
        "    print('no')",
        "finally:",
        "    os._exit(code)",
    ],
    "what is passed over": ["for one in [1]:", "    if test():", "        continue", "    test()"],
    "what cannot be made": [
        "for one in [1]:",
        "    try:",
        "        value = went_well()",
        "    except Exception:",
        "        continue",
        "    assert value",
    ],
    "a failure without which it is red": [
        "for one in [test, test]:",
        "    try:",
        "        one()",
        "    except AssertionError:",
        "        pass",
        "    else:",
        "        sys.exit(1)",
    ],
    "nothing to go through": ["for one in sys.argv[1:]:", "    assert one"],
    "tries after which it raises": [
        *("for one in range(3):", "    try:", "        test()", "        break"),
        *("    except Exception as error: print(error)", "else:", "    raise RuntimeError"),
    ],
    "tries after which a flag is asked for": [
        *(
            "good = False",
            "for one in range(3):",
            "    try:",
            "        test()",
            "        good = True",
            "        break",
        ),
        *("    except Exception as error: print(error)", "assert good"),
    ],
    "an expected failure": ["try:", "    int('x')", "except ValueError:", "    pass", "test()"],
}


@pytest.mark.parametrize("name", SOUND)
def test_a_block_that_heeds_its_results_is_left_alone(name):
    assert block(*SOUND[name], before=TEST + WENT_WELL + COROUTINES + "suite = unittest.TestSuite()\n") == ()


@pytest.mark.parametrize("last", ["except Exception as error:\n        print(error)", "finally:\n        return 0"])
def test_a_function_that_passes_a_failure_over_is_found_for_certain(last):
    main = f"{TEST}def main():\n    try:\n        test()\n    {last}\n"
    assert [lost.certain for lost in block("main()", before=main)] == [True]


def test_a_block_that_only_says_something_may_follow_tests_that_ran():
    said = 'if __name__ == "__main__":\n    print("all passed")\n'
    assert found(f"def test():\n    pass\ntest()\n{said}") == found(said) == ()
    (lost,) = found(f"class It(unittest.TestCase):\n    def test_a(self):\n        pass\n{said}")
    assert lost.certain


def test_a_block_that_never_runs_is_found():
    (lost,) = found('def test():\n    pass\nif __name__ == "__main__" and False:\n    test()\n')
    assert lost.certain and lost.line == 4


def test_what_is_found_names_the_line_and_the_mend():
    (lost,) = block("pytest.main([__file__])")
    assert lost.line == 4
    assert str(lost) == (
        "the exit code of `pytest.main` goes nowhere, so a failure is green. Write `sys.exit(pytest.main(…))`."
    )


def test_a_refused_file_of_tests_names_the_way_to_leave_it_as_it_is(tmp_path):
    block = 'if __name__ == "__main__":\n    pytest.main([__file__])\n'
    for name, holds, said in (("test_a.py", "def test_a(): pass\n", True), ("b.py", "", False)):
        (tmp_path / name).write_text(f"import pytest\n{holds}{block}")
        refusal = PythonFile().read(Source(tmp_path, name)).refusal
        assert ('runner = "pytest"' in refusal) == said, refusal


@given(st.text("abc()[]=\n .,:'\"defimporttry", max_size=200))
def test_whatever_parses_is_read(text):
    try:
        tree = ast.parse(f'{text}\nif __name__ == "__main__":\n    main()\n')
    except (SyntaxError, ValueError):
        return
    for node in main_blocks(tree):
        lost_results(node, Names(tree))
