"""Pure: which calls return how tests went instead of raising, and what would make that count."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from trainci.catalog.always_green import pytest_runs_nothing
from trainci.catalog.lost import LostResult
from trainci.catalog.lost_in_shell import read_shell
from trainci.catalog.names import Names
from trainci.catalog.statements import own_parts, statements

# What returns how it went instead of raising, and what would make it count.
_EXIT_CODES = {
    "pytest.main": "sys.exit(pytest.main(…))",
    "pytest.console_main": "sys.exit(pytest.console_main())",
    "_pytest.config.main": "sys.exit(pytest.main(…))",
    "pytest.cmdline.main": "sys.exit(pytest.main(…))",
    "nose.run": "sys.exit(not nose.run(…))",
    "doctest.testmod": "sys.exit(doctest.testmod().failed > 0)",
    "doctest.testfile": "sys.exit(doctest.testfile(…).failed > 0)",
}
_COMMANDS = {
    "subprocess.run": "check=True",
    "subprocess.call": "subprocess.check_call(…)",
    "subprocess.getoutput": "subprocess.run(…, check=True)",
    "os.system": "subprocess.run(…, check=True)",
    "os.spawnlp": "subprocess.run(…, check=True)",
    "os.spawnvp": "subprocess.run(…, check=True)",
    "os.spawnl": "subprocess.run(…, check=True)",
    "os.spawnv": "subprocess.run(…, check=True)",
    "os.wait": "os.waitstatus_to_exitcode(…)",
    "os.waitpid": "os.waitstatus_to_exitcode(…)",
}
# What raises where its command fails, and what only hands on what it printed.
_CHECKS = ("subprocess.check_call", "subprocess.check_output")
_ONLY_OUTPUT = ("subprocess.getoutput", "subprocess.getstatusoutput", "os.popen")
_SHELLS = ("bash", "sh")
_FUTURES = ("submit", "apply_async", "map_async", "starmap_async")
_POOLS = ("concurrent.futures.ThreadPoolExecutor", "concurrent.futures.ProcessPoolExecutor")

_RUNNERS = ("unittest.TextTestRunner", "xmlrunner.XMLTestRunner", "HtmlTestRunner.HTMLTestRunner")
_UNITTEST_MAINS = ("unittest.main", "unittest.TestProgram", "unittest.main.main", "absl.testing.absltest.main")
_EXITS = ("sys.exit", "exit", "quit", "os._exit", "SystemExit")
_PROCESSES = ("multiprocessing.Process", "torch.multiprocessing.Process")
# Words that begin a command which runs tests or training, and those of a cleaning up that may fail as it likes.
_RUNS_TESTS = (
    "python",
    "python3",
    "pytest",
    "torchrun",
    "accelerate",
    "deepspeed",
    "bash",
    "sh",
    "uv",
    "mpirun",
    "srun",
)
_CLEANS_UP = (
    "pkill",
    "kill",
    "killall",
    "rm",
    "ray",
    "mkdir",
    "sleep",
    "nvidia-smi",
    "git",
    "which",
    "docker",
    "fuser",
)


def lost_by(call: ast.Call, kinds: dict[str, str], file: Names, certain: bool) -> LostResult | None:
    """What is lost where the value of ``call`` goes nowhere; None where nothing is."""
    name = file.name(call.func)
    if name in _EXITS and _asks_whether_it_was_good(call):
        mend = "Write `sys.exit(not result.wasSuccessful())`."
        return _lost(call, "`wasSuccessful()` is True, an exit code of 1, where all is well", mend, certain)
    if name in _EXIT_CODES:
        return _lost(call, f"the exit code of `{name}` goes nowhere", f"Write `{_EXIT_CODES[name]}`.", certain)
    if name in _UNITTEST_MAINS and _keyword(call, "exit") is False:
        return _lost(call, f"`{name}(exit=False)` tells nobody how it went", "Leave `exit=False` out.", certain)
    if name in _COMMANDS and _keyword(call, "check", absent=False) is False:
        first = _first_word(call, file)
        if first in _CLEANS_UP:
            return None
        mend = f"Use `{_COMMANDS[name]}`."
        return _lost(call, f"the exit code of `{name}` goes nowhere", mend, certain and first in _RUNS_TESTS)
    if name == "subprocess.Popen" and _first_word(call, file) in _RUNS_TESTS:
        mend = "Use `subprocess.run(…, check=True)`."
        return _lost(call, "a process that nobody waits for ends unseen", mend, False)
    if name == "asyncio.gather" and _keyword(call, "return_exceptions", absent=False) is not False:
        return _lost(call, "`return_exceptions` hands failures to nobody", "Leave it out.", certain)
    if name == "asyncio.wait":
        return _lost(call, "`asyncio.wait` raises nothing", "Use `asyncio.gather(…)`.", certain)
    made = call.args[0] if call.args else None
    own = isinstance(made, ast.Call) and file.name(made.func) in file.functions
    if name in ("asyncio.create_task", "asyncio.ensure_future") and own:
        return _lost(call, "an exception stays in the task that nobody awaits", "Await it.", False)
    if isinstance(call.func, ast.Attribute):
        return _result_of_method(call, call.func, kinds, file, certain)
    if _returns_result(file.functions.get(name), file):
        return _lost(
            call, f"`{name}()` returns how it went, and that goes nowhere", f"Write `sys.exit({name}())`.", certain
        )
    if returns_how_it_went(file.functions.get(name)):
        what = f"`{name}()` returns whether it went well, and that goes nowhere"
        return _lost(call, what, "Make something of what it returns: an exit code.", False)
    return None


def lost_inside(statement: ast.stmt, kinds: dict[str, str], file: Names, certain: bool) -> Iterator[LostResult]:
    """What the calls in ``statement`` lose by their own arguments, wherever their value goes."""
    called = {id(part.func) for part in own_parts(statement) if isinstance(part, ast.Call)}
    for part in own_parts(statement):
        if isinstance(part, ast.Call):
            yield from _by_arguments(part, kinds, file, certain)
        elif isinstance(part, ast.Attribute) and part.attr == "wasSuccessful" and id(part) not in called:
            yield LostResult(part.lineno, "`wasSuccessful` without a call is always true", "Call it.", certain)
        elif isinstance(part, ast.Attribute) and part.attr in ("stdout", "stderr") and _is_run(part.value, file):
            what = "what the command printed is taken, and its exit code goes nowhere"
            yield LostResult(part.lineno, what, "Use `check=True`.", False)
        elif isinstance(part, ast.Lambda) and ends_green(ast.Expr(part.body), file):
            yield LostResult(part.lineno, "this ends the program with 0 whatever failed", "Take it out.", False)
        elif isinstance(part, ast.Assert) and isinstance(part.test, ast.Tuple) and part.test.elts:
            yield LostResult(part.lineno, "`assert (…, …)` is always true", "Leave its brackets out.", False)


def _by_arguments(call: ast.Call, kinds: dict[str, str], file: Names, certain: bool) -> Iterator[LostResult]:
    name = file.name(call.func)
    first = call.args[0] if call.args else None
    if name in _EXITS and isinstance(first, (ast.Call, ast.Name)):
        of = file.name(first.func) if isinstance(first, ast.Call) else kinds.get(first.id, "")
        if of == "os.system":
            what = "`os.system` returns 256 for an exit code of 1, and an exit with 256 is one with 0"
            yield _lost(call, what, "Write `sys.exit(os.waitstatus_to_exitcode(…))`.", certain)
    if name in ("pytest.main", "pytest.cmdline.main") and isinstance(first, (ast.List, ast.Tuple)):
        flag = pytest_runs_nothing([text for item in first.elts if (text := _text(item))])
        if flag:
            yield _lost(call, f"`pytest {flag}` runs no test", "Take it out.", certain)
    if any(file.name(argument) == "os._exit" for argument in call.args):
        yield _lost(call, "`os._exit` ends the program whatever failed", "Let it end by itself.", False)
    if name in _ONLY_OUTPUT and _first_word(call, file) in _RUNS_TESTS:
        mend = "Use `subprocess.run(…, check=True)`."
        yield _lost(call, f"the exit code of `{name}` goes nowhere", mend, False)
    if name in _COMMANDS or name in _CHECKS:
        for lost in read_shell(_shell_text(call, file)).lost:
            yield _lost(call, f"in this command {lost.what}", lost.mend, certain and lost.certain)


def _is_run(node: ast.expr, file: Names) -> bool:
    """A command that runs tests, whose exit code nobody checks."""
    return (
        isinstance(node, ast.Call)
        and file.name(node.func) in _COMMANDS
        and _keyword(node, "check", absent=False) is False
        and _first_word(node, file) in _RUNS_TESTS
    )


def _shell_text(call: ast.Call, file: Names) -> str:
    """The script that a call gives to a shell; empty for none, and for one that is made at run time."""
    first = call.args[0] if call.args else None
    by_shell = file.name(call.func) in ("os.system", "subprocess.getoutput") or _keyword(call, "shell") is True
    if by_shell and first is not None:
        return _text(first)
    if isinstance(first, (ast.List, ast.Tuple)) and len(first.elts) == 3:
        program, option, text = map(_text, first.elts)
        if program.rpartition("/")[2] in _SHELLS and option.startswith("-") and option.endswith("c"):
            return f"set {option.removesuffix('c')}\n{text}" if option != "-c" else text
    return ""


def _text(node: ast.expr) -> str:
    """A constant text, with an `x` for each part that is put in at run time."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return "x"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def raises_where_tests_fail(call: ast.Call, file: Names) -> bool:
    """A command that is checked, or pytest itself."""
    name = file.name(call.func)
    checked = name in _CHECKS or (name in _COMMANDS and _keyword(call, "check", absent=False) is True)
    return name in _EXIT_CODES or (checked and _first_word(call, file) in _RUNS_TESTS)


def ends_green(statement: ast.stmt, file: Names) -> bool:
    """Whether it ends the program as if all were well: ``sys.exit(0)``, ``os._exit(0)``, ``raise SystemExit``."""
    value = statement.exc if isinstance(statement, ast.Raise) else getattr(statement, "value", None)
    if isinstance(statement, ast.Raise) and isinstance(value, ast.Name):
        return value.id == "SystemExit"
    if not isinstance(statement, (ast.Raise, ast.Expr)) or not isinstance(value, ast.Call):
        return False
    if file.name(value.func) not in _EXITS or value.keywords:
        return False
    code = value.args[0] if value.args else ast.Constant(None)
    return isinstance(code, ast.Constant) and code.value in (0, None)


def ends_as_computed(statement: ast.stmt, file: Names) -> bool:
    """Whether it ends the program with what something else decided: ``os._exit(code)``."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and file.name(call.func) in _EXITS and not ends_green(statement, file)


def returns_how_it_went(function: ast.FunctionDef | ast.AsyncFunctionDef | None) -> bool:
    """Whether a function says by constants that all is well here, and that it is not there."""
    values: set[object] = set()
    for statement, _ in statements(function.body, True) if function else ():
        value = statement.value if isinstance(statement, ast.Return) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, int):
            values.add(bool(value.value))
    return len(values) > 1


def _asks_whether_it_was_good(call: ast.Call) -> bool:
    """``sys.exit(result.wasSuccessful())``, which turns good and bad round."""
    argument = call.args[0] if call.args else None
    return (
        isinstance(argument, ast.Call)
        and isinstance(argument.func, ast.Attribute)
        and argument.func.attr == "wasSuccessful"
    )


def _result_of_method(
    call: ast.Call, method: ast.Attribute, kinds: dict[str, str], file: Names, certain: bool
) -> LostResult | None:
    of = (
        kind_of(method.value, file)
        if isinstance(method.value, ast.Call)
        else kinds.get(file.name(method.value), "")
    )
    of = file.bases.get(of, of)
    if method.attr == "run" and of in _RUNNERS:
        mend = "Write `sys.exit(not runner.run(suite).wasSuccessful())`."
        return _lost(call, "the result of the test runner goes nowhere", mend, certain)
    if method.attr in ("wait", "communicate") and of == "subprocess.Popen":
        # Of a process without a name, nobody can ask later how it ended.
        runs_tests = isinstance(method.value, ast.Call) and _first_word(method.value, file) in _RUNS_TESTS
        mend = "Use `subprocess.run(…, check=True)`."
        return _lost(call, "the exit code of the process goes nowhere", mend, certain and runs_tests)
    if method.attr == "join" and of in _PROCESSES and not file.uses_exit_codes:
        return _lost(call, "the process's exit code goes nowhere", "Assert that its `exitcode` is 0.", False)
    if method.attr in _FUTURES and call.args and file.name(call.args[0]) in file.functions:
        return _lost(call, "an exception stays in the future that nobody asks", "Call its `result()`.", False)
    if method.attr == "map" and of in _POOLS:
        return _lost(
            call, "an exception stays in the results that nobody asks", "Write `list(…)` around it.", False
        )
    if method.attr == "remote" and file.name(method.value) in file.functions:
        return _lost(call, "an exception stays in the object that nobody gets", "Write `ray.get(…)`.", False)
    if method.attr == "start" and of == "threading.Thread":
        return _lost(
            call, "an exception of a thread ends nothing but the thread", "Use a future's `result()`.", False
        )
    return None


def kind_of(call: ast.Call, file: Names) -> str:
    """By which name a value was made; empty for a thread that runs none of the file's own functions."""
    name = file.name(call.func)
    targets = (file.name(keyword.value) for keyword in call.keywords if keyword.arg == "target")
    return "" if name == "threading.Thread" and not any(one in file.asserting for one in targets) else name


def _lost(call: ast.Call, what: str, mend: str, certain: bool) -> LostResult:
    return LostResult(call.lineno, what, mend, certain)


def _keyword(call: ast.Call, name: str, absent: object = None) -> object:
    """The constant that a call passes by this name: ``absent`` for none, True for what is no constant."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value.value if isinstance(keyword.value, ast.Constant) else True
    return absent


def _first_word(call: ast.Call, file: Names) -> str:
    """The program that a command begins with: ``python`` for ``sys.executable``, empty for what is no constant."""
    node: ast.expr | None = call.args[0] if call.args else None
    if isinstance(node, ast.Name):
        node = file.constants.get(node.id, node)
    while isinstance(node, (ast.List, ast.Tuple, ast.BinOp, ast.JoinedStr)):
        if isinstance(node, ast.BinOp):
            node = node.left
        else:
            parts = node.values if isinstance(node, ast.JoinedStr) else node.elts
            node = parts[0] if parts else None
    if node is not None and file.name(node) == "sys.executable":
        return "python"
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.split():
        return node.value.split()[0].rpartition("/")[2]
    return ""


def _returns_result(function: ast.FunctionDef | ast.AsyncFunctionDef | None, file: Names, depth: int = 8) -> bool:
    """Whether a function returns the result of tests."""
    if function is None or depth == 0:
        return False
    for statement, _ in statements(function.body, True):
        value = statement.value if isinstance(statement, ast.Return) else None
        if isinstance(value, ast.Call):
            name = file.name(value.func)
            if name in _EXIT_CODES or _returns_result(file.functions.get(name), file, depth - 1):
                return True
    return False
