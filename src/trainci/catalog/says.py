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
_LOGGERS = ("logging", "logger", "log", "_logger", "LOGGER", "console")


def only_says(call: ast.Call, file: Names) -> bool:
    """``print(…)``, ``logger.error(…)``."""
    name = file.name(call.func)
    return name in _SAYS or (name.partition(".")[0] in _LOGGERS and "." in name)


def is_idle(statement: ast.stmt, file: Names, unused: Set[str] = frozenset()) -> bool:
    """A statement that changes nothing: it says something, or counts in a name of ``unused``."""
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, (ast.Assign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return all(isinstance(target, ast.Name) and target.id in unused for target in targets)
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    return isinstance(value, ast.Constant) or (isinstance(value, ast.Call) and only_says(value, file))
