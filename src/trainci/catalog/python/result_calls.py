"""Pure: which calls return how tests went instead of raising, and what would make that count."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from trainci.catalog.always_green import pytest_runs_nothing
from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names, names_in
from trainci.catalog.python.call_words import CLEANS_UP, RUNS_TESTS, first_word, keyword_of, shell_text, text_of
from trainci.catalog.python.inverted_exits import inverted_exit
from trainci.catalog.python.returned import returns_how_it_went
from trainci.catalog.python.workers import PROCESSES, THREADS, made_by, may_lose, serves
from trainci.catalog.shell.lost import read_shell
from trainci.catalog.statements import all_parts, own_parts, statements

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
_ONLY_OUTPUT = ("subprocess.getoutput", "os.popen")
_FUTURES = ("submit", "apply_async", "map_async", "starmap_async")
_CALLS_IT = (*_FUTURES, "map", "starmap", "imap", "imap_unordered", "apply", "delayed")
_POOLS = ("concurrent.futures.ThreadPoolExecutor", "concurrent.futures.ProcessPoolExecutor")

_RUNNERS = ("unittest.TextTestRunner", "xmlrunner.XMLTestRunner", "HtmlTestRunner.HTMLTestRunner")
_UNITTEST_MAINS = ("unittest.main", "unittest.TestProgram", "unittest.main.main", "absl.testing.absltest.main")
_EXITS = ("sys.exit", "exit", "quit", "os._exit", "SystemExit")
_ASYNC_PROCESSES = ("asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell")
# What is done with that which is needed no more.
_ENDS = re.compile(r"\.(?:a?close|stop|shut_?down|terminate|kill|cancel|disconnect|clean_?up|tear_?down)\b")
CANCELLED = "cancelled"


def lost_by(call: ast.Call, kinds: dict[str, str], file: Names, certain: bool) -> LostResult | None:
    """What is lost where the value of ``call`` goes nowhere; None where nothing is."""
    name = file.name(call.func)
    if name in _EXIT_CODES:
        return _lost(call, f"the exit code of `{name}` goes nowhere", f"Write `{_EXIT_CODES[name]}`.", certain)
    if name in _UNITTEST_MAINS and keyword_of(call, "exit") is False:
        return _lost(call, f"`{name}(exit=False)` tells nobody how it went", "Leave `exit=False` out.", certain)
    if name in _COMMANDS and keyword_of(call, "check", absent=False) is False:
        first = first_word(call, file)
        if first in CLEANS_UP:
            return None
        mend = f"Use `{_COMMANDS[name]}`."
        return _lost(call, f"the exit code of `{name}` goes nowhere", mend, certain and first in RUNS_TESTS)
    if name == "subprocess.getstatusoutput" and first_word(call, file) in RUNS_TESTS:
        return _lost(call, f"the exit code of `{name}` goes nowhere", "Use `subprocess.run(…, check=True)`.", False)
    if name == "subprocess.Popen" and first_word(call, file) in RUNS_TESTS:
        mend = "Use `subprocess.run(…, check=True)`."
        return _lost(call, "a process that nobody waits for ends unseen", mend, False)
    gathers = name == "asyncio.gather" and not _is_over(call, kinds)
    if gathers and keyword_of(call, "return_exceptions", absent=False) is not False:
        return _lost(call, "`return_exceptions` hands failures to nobody", "Leave it out.", certain)
    made = call.args[0] if call.args else None
    own = isinstance(made, ast.Call) and file.name(made.func) in file.functions
    if name.rpartition(".")[2] in ("create_task", "ensure_future") and own and not _is_in_group(call, kinds):
        return _lost(call, "an exception stays in the task that nobody awaits", "Await it.", False)
    if isinstance(call.func, ast.Attribute) and (found := _result_of_method(call, call.func, kinds, file, certain)):
        return found
    if _returns_result(file.functions.get(name), file):
        return _lost(
            call, f"`{name}()` returns how it went, and that goes nowhere", f"Write `sys.exit({name}())`.", certain
        )
    for one in (name, *map(file.name, handed_on(call))):
        if returns_how_it_went(file.functions.get(one)) or _returns_command(file.functions.get(one), file):
            what = f"`{one}()` returns whether it went well, and that goes nowhere"
            return _lost(call, what, "Make something of what it returns: an exit code.", False)
    return None


def _is_in_group(call: ast.Call, kinds: dict[str, str]) -> bool:
    """Whether it starts a task of a group, which waits for all of its tasks and raises what they raise."""
    of = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(of, ast.Name) and kinds.get(of.id, "").endswith("TaskGroup")


def _is_over(call: ast.Call, kinds: dict[str, str]) -> bool:
    """Whether what it waits for was cancelled before, or is closed by it: ``(one.close() for one in all)``."""
    ended = (ast.unparse(part.func) for part in all_parts(call) if isinstance(part, ast.Call) and part is not call)
    return any(kinds.get(one) == CANCELLED for one in names_in(call)) or any(map(_ENDS.search, ended))


def handed_on(call: ast.Call) -> Iterator[ast.expr]:
    """What it is given to call: ``list(pool.map(run, files))``, ``Parallel()(delayed(run)(x) for x in files)``."""
    for part in all_parts(call):
        if isinstance(part, ast.Call) and ast.unparse(part.func).rpartition(".")[2] in _CALLS_IT:
            yield from part.args[:1]


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


def _by_arguments(call: ast.Call, kinds: dict[str, str], file: Names, certain: bool) -> Iterator[LostResult]:
    name = file.name(call.func)
    first = call.args[0] if call.args else None
    if name in _EXITS and isinstance(first, (ast.Call, ast.Name)):
        of = file.name(first.func) if isinstance(first, ast.Call) else kinds.get(first.id, "")
        if of == "os.system":
            what = "`os.system` returns 256 for an exit code of 1, and an exit with 256 is one with 0"
            yield _lost(call, what, "Write `sys.exit(os.waitstatus_to_exitcode(…))`.", certain)
    if name in _EXITS and (inverted := inverted_exit(call, file, certain)):
        yield inverted
    if name in ("pytest.main", "pytest.cmdline.main") and isinstance(first, (ast.List, ast.Tuple)):
        flag = pytest_runs_nothing([text for item in first.elts if (text := text_of(item))])
        if flag:
            yield _lost(call, f"`pytest {flag}` runs no test", "Take it out.", certain)
    green = not any(isinstance(code, ast.Constant) and code.value for code in call.args)
    if green and any(file.name(argument) == "os._exit" for argument in call.args):
        yield _lost(call, "`os._exit` ends the program whatever failed", "Let it end by itself.", False)
    # What `close` of such a pipe gives is how its command ended.
    asked = name == "os.popen" and "close" in file.attributes
    if name in _ONLY_OUTPUT and not asked and first_word(call, file) in RUNS_TESTS:
        mend = "Use `subprocess.run(…, check=True)`."
        yield _lost(call, f"the exit code of `{name}` goes nowhere", mend, False)
    if name in _COMMANDS or name in _CHECKS:
        for lost in read_shell(shell_text(call, file)).lost:
            yield _lost(call, f"in this command {lost.what}", lost.mend, certain and lost.certain)


def _is_run(node: ast.expr, file: Names) -> bool:
    """A command that runs tests, whose exit code nobody checks."""
    return (
        isinstance(node, ast.Call)
        and file.name(node.func) in _COMMANDS
        and keyword_of(node, "check", absent=False) is False
        and first_word(node, file) in RUNS_TESTS
    )


def raises_where_tests_fail(call: ast.Call, file: Names) -> bool:
    """A command that is checked, or pytest itself."""
    name = file.name(call.func)
    checked = name in _CHECKS or (name in _COMMANDS and keyword_of(call, "check", absent=False) is True)
    return name in _EXIT_CODES or (checked and first_word(call, file) in RUNS_TESTS)


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


def _result_of_method(
    call: ast.Call, method: ast.Attribute, kinds: dict[str, str], file: Names, certain: bool
) -> LostResult | None:
    worker = method.value if isinstance(method.value, ast.Call) else None
    of = made_by(worker, file, kinds) if worker else kinds.get(file.name(method.value), "")
    if worker and of in (*PROCESSES, *THREADS) and (serves(worker, file, {}) or not may_lose(worker, file, {})):
        return None
    of = file.bases.get(of, of)
    if method.attr == "run" and (of == "unittest.TestCase" or _is_unread_result(call, kinds, file)):
        mend = "Write `unittest.main()`."
        return _lost(call, "the result of these tests goes nowhere", mend, certain)
    if method.attr == "run" and of in _RUNNERS:
        mend = "Write `sys.exit(not runner.run(suite).wasSuccessful())`."
        return _lost(call, "the result of the test runner goes nowhere", mend, certain)
    if method.attr in ("wait", "communicate") and (of == "subprocess.Popen" or of in _ASYNC_PROCESSES):
        asked = {"returncode", "terminate", "kill", "send_signal", "killpg"} & file.attributes
        if asked and not isinstance(method.value, ast.Call):
            return None
        # Of a process without a name, nobody can ask later how it ended.
        runs_tests = isinstance(method.value, ast.Call) and first_word(method.value, file) in RUNS_TESTS
        mend = "Use `subprocess.run(…, check=True)`."
        return _lost(call, "the exit code of the process goes nowhere", mend, certain and runs_tests)
    left = method.attr == "start" and "join" not in file.attributes and not {"terminate", "kill"} & file.attributes
    if (method.attr == "join" or left) and of in PROCESSES and not file.uses_exit_codes:
        return _lost(call, "the process's exit code goes nowhere", "Assert that its `exitcode` is 0.", False)
    hears = keyword_of(call, "error_callback") is not None
    if method.attr in _FUTURES and call.args and file.own(call.args[0]) and not hears:
        return _lost(call, "an exception stays in the future that nobody asks", "Call its `result()`.", False)
    if method.attr == "map" and of in _POOLS:
        return _lost(
            call, "an exception stays in the results that nobody asks", "Write `list(…)` around it.", False
        )
    if method.attr == "remote" and file.name(method.value) in file.functions:
        return _lost(call, "an exception stays in the object that nobody gets", "Write `ray.get(…)`.", False)
    if method.attr == "start" and of in THREADS:
        return _lost(
            call, "an exception of a thread ends nothing but the thread", "Use a future's `result()`.", False
        )
    return None


def _is_unread_result(call: ast.Call, kinds: dict[str, str], file: Names) -> bool:
    """``suite.run(result)`` with a result at which nobody looks."""
    given = call.args[0] if call.args else None
    made = kinds.get(given.id, "") if isinstance(given, ast.Name) else ""
    made = file.name(given.func) if isinstance(given, ast.Call) else made
    looked_at = {"wasSuccessful", "failures", "errors"} & file.attributes
    return made in ("unittest.TestResult", "unittest.TextTestResult") and not looked_at


def _lost(call: ast.Call, what: str, mend: str, certain: bool) -> LostResult:
    return LostResult(call.lineno, what, mend, certain)


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


def _returns_command(function: ast.FunctionDef | ast.AsyncFunctionDef | None, file: Names) -> bool:
    """Whether a function returns a command that nobody checked."""
    values = (
        [one.value for one, _ in statements(function.body, True) if isinstance(one, ast.Return)] if function else []
    )
    values = [one.value if isinstance(one, ast.Attribute) and one.attr == "returncode" else one for one in values]
    return any(
        isinstance(value, ast.Call)
        and file.name(value.func) in _COMMANDS
        and file.name(value.func) not in _ONLY_OUTPUT
        and keyword_of(value, "check", absent=False) is False
        for value in values
    )
