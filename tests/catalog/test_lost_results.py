"""A `__main__` block that throws away how its tests went is found, and one that does not is left alone."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.catalog.lost_results import lost_results
from trainci.catalog.main_block import main_blocks
from trainci.catalog.result_calls import LostResult

HEAD = "import pytest, subprocess, sys, os, unittest\n"


def found(text: str) -> tuple[LostResult, ...]:
    tree = ast.parse(HEAD + textwrap.dedent(text))
    return lost_results(tree, main_blocks(tree)[0])


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
}
TEST = "def test():\n    assert False\n"


@pytest.mark.parametrize("name", CERTAIN)
def test_a_result_that_goes_nowhere_is_found_for_certain(name):
    lost = block(*CERTAIN[name], before=TEST)
    assert lost and lost[0].certain, name


@pytest.mark.parametrize("name", ["pytest", "unittest", "a runner", "a failure that is only printed", "nothing"])
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
    "under a condition": ["if len(sys.argv) > 1:", "    pytest.main([__file__])", "else:", "    test()"],
    "a process without a look at its end": ["process = subprocess.Popen(['python'])", "process.wait()"],
    "an unknown process": ["subprocess.Popen(command).wait()"],
    "an unknown command": ["subprocess.run(command)"],
    "suppressed": ["import contextlib", "with contextlib.suppress(Exception):", "    test()"],
    "a future": ["from concurrent.futures import *", "with ThreadPoolExecutor() as pool:", "    pool.submit(test)"],
    "a task of ray": ["test.remote()"],
    "whether it went well": ["went_well()"],
    "a worker": ["import multiprocessing as mp", "p = mp.Process(target=test)", "p.start()", "p.join()"],
    "a thread": ["import threading", "threading.Thread(target=test).start()"],
}


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_may_go_nowhere_is_told_and_not_refused(name):
    lost = block(*UNCERTAIN[name], before=TEST + WENT_WELL + "command = []\n")
    assert lost and not any(one.certain for one in lost)


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
    "a command whose code is looked at": ["done = subprocess.run(['python'])", "assert done.returncode == 0"],
    "a cleaning up": ["subprocess.run(['pkill', '-9', 'sglang'])", "test()"],
    "a cleaning up by the system": ["os.system('rm -rf /tmp/x')", "test()"],
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
}


@pytest.mark.parametrize("name", SOUND)
def test_a_block_that_heeds_its_results_is_left_alone(name):
    assert block(*SOUND[name], before=TEST + WENT_WELL + COROUTINES + "suite = unittest.TestSuite()\n") == ()


def test_a_block_that_never_runs_is_found():
    (lost,) = found('def test():\n    pass\nif __name__ == "__main__" and False:\n    test()\n')
    assert lost.certain and lost.line == 4


def test_what_is_found_names_the_line_and_the_mend():
    (lost,) = block("pytest.main([__file__])")
    assert lost.line == 4
    assert str(lost) == (
        "the exit code of `pytest.main` goes nowhere, so a failure is green. Write `sys.exit(pytest.main(…))`."
    )


@given(st.text("abc()[]=\n .,:'\"defimporttry", max_size=200))
def test_whatever_parses_is_read(text):
    try:
        tree = ast.parse(f'{text}\nif __name__ == "__main__":\n    main()\n')
    except (SyntaxError, ValueError):
        return
    for node in main_blocks(tree):
        lost_results(tree, node)
