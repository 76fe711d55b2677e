"""Pure: what of a Python file only says something, and makes of a failure nothing else."""

from __future__ import annotations

import ast
from collections.abc import Set

from trainci.catalog.names import Names

_SAYS = (
    "print",
    "traceback.print_exc",
    "traceback.print_exception",
    "traceback.format_exc",
    "warnings.warn",
    "pprint.pprint",
    "sys.stderr.write",
    "sys.stdout.write",
    "sys.stdout.flush",
    "sys.stderr.flush",
    "rich.print",
    "click.echo",
    "str",
    "repr",
)
_WAITS = ("time.sleep", "gc.collect")
_LOGS = ("debug", "info", "warning", "warn", "error", "exception", "critical", "print", "log")

_EXITS = ("sys.exit", "exit", "quit", "os._exit", "os.abort", "os.kill")
_SKIPS = ("skip", "xfail", "skipTest")


def skips(statement: ast.stmt) -> bool:
    """``pytest.skip(…)``, which leaves the test and says so."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in _SKIPS


def ends_program(statement: ast.stmt, file: Names) -> bool:
    """``sys.exit(3)``, ``os.kill(os.getpid(), 9)``."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and file.name(call.func) in _EXITS


def only_says(call: ast.Call, file: Names) -> bool:
    """``print(…)``, ``logger.error(…)``."""
    name = file.name(call.func)
    *of, last = name.split(".")
    return name in _SAYS or (last in _LOGS and bool(of) and ("log" in of[-1].lower() or of[-1] == "console"))


def is_idle(statement: ast.stmt, file: Names, unused: Set[str] = frozenset()) -> bool:
    """A statement that changes nothing: it says something, or counts in a name of ``unused``."""
    if isinstance(statement, (ast.Pass, ast.Continue)) and (unused or isinstance(statement, ast.Pass)):
        return True
    if isinstance(statement, (ast.If, ast.For)):
        return all(is_idle(inner, file, unused) for inner in (*statement.body, *statement.orelse))
    if isinstance(statement, (ast.Assign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return all((name := kept_in(target)) is not None and name.id in unused for target in targets)
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if (name := kept_by(value)) is not None and name.id in unused:
        return True
    idle = isinstance(value, ast.Call) and (only_says(value, file) or file.name(value.func) in _WAITS)
    return idle or isinstance(value, ast.Constant)


def kept_in(target: ast.expr) -> ast.Name | None:
    """The name that an assignment keeps something in: ``bad`` of ``bad = 1`` and of ``bad[x] = 1``."""
    if isinstance(target, ast.Subscript):
        target = target.value
    return target if isinstance(target, ast.Name) else None


def kept_by(value: ast.expr) -> ast.Name | None:
    """The name that a call keeps something in: ``bad`` of ``bad.append(x)``."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        of = value.func.value
        if value.func.attr in ("append", "add", "extend", "update", "appendleft") and isinstance(of, ast.Name):
            return of
    return None
