"""Pure: what a program hands over to be called later, and options by which a failure reaches nobody."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names
from trainci.catalog.python.call_words import keyword_of
from trainci.catalog.python.inverted_exits import inverted_exit
from trainci.catalog.python.result_calls import ends_green
from trainci.catalog.python.says import is_idle, only_says
from trainci.catalog.statements import statements

_TAKE_FAILURES = ("error_callback", "errback", "on_error", "retry_error_callback")
_CALLED_LATER = ("signal", "register", "add_signal_handler", "Timer")
_SAID = "a failure is handed to a function that makes nothing of it"


def lost_by_callbacks(tree: ast.Module, file: Names) -> Iterator[LostResult]:
    """What calls anywhere in ``tree`` drop by what they are given, and commands by what they return; perhaps."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _by_call(node, file)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _is_command(node):
            yield from _returned_by(node)


def _returned_by(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[LostResult]:
    for statement, _ in statements(node.body, True):
        if isinstance(statement, ast.Return) and not _is_nothing(statement.value):
            what = "what a command of click's or typer's returns goes nowhere"
            yield LostResult(statement.lineno, what, "Write `sys.exit(…)`.", certain=False)


def _by_call(call: ast.Call, file: Names) -> Iterator[LostResult]:
    name = file.name(call.func)
    last = name.rpartition(".")[2] or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
    if last in _CALLED_LATER:
        for given in call.args:
            function = file.functions.get(file.name(given))
            ends = [one for one, _ in statements(function.body, True) if ends_green(one, file)] if function else []
            for end in ends[:1]:
                what = f"`{ast.unparse(given)}` ends the program with 0 whatever failed"
                yield LostResult(end.lineno, what, "Let it exit with 1.", certain=False)
    for keyword in call.keywords:
        if keyword.arg in _TAKE_FAILURES and _makes_nothing(keyword.value, file):
            yield LostResult(keyword.value.lineno, _SAID, "Let it raise, or keep it and look at it.", certain=False)
    if keyword_of(call, "raise_on_giveup") is False:
        yield LostResult(call.lineno, "the failure of the last try is dropped", "Let it raise.", certain=False)
    if name == "typer.run" and call.args and (function := file.functions.get(file.name(call.args[0]))):
        yield from _returned_by(function)
    if name == "absl.app.run" and call.args and (inverted := _inverted_main(call, file)):
        yield inverted


def _makes_nothing(value: ast.expr, file: Names) -> bool:
    """``print``, ``lambda error: print(error)``, ``lambda state: None``."""
    if isinstance(value, ast.Lambda):
        return isinstance(value.body, ast.Constant) or is_idle(ast.Expr(value.body), file)
    if function := file.functions.get(file.name(value)):
        return all(is_idle(one, file) or _returns_nothing(one) for one in function.body)
    return only_says(ast.Call(func=value, args=[], keywords=[]), file)


def _returns_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Return) and _is_nothing(statement.value)


def _is_nothing(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value in (None, 0))


def _is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    made_by = (one.func if isinstance(one, ast.Call) else one for one in node.decorator_list)
    return any(isinstance(one, ast.Attribute) and one.attr == "command" for one in made_by)


def _inverted_main(call: ast.Call, file: Names) -> LostResult | None:
    """``app.run(main)`` is ``sys.exit(main(…))``."""
    ran = ast.copy_location(ast.Call(func=call.args[0], args=[], keywords=[]), call)
    return inverted_exit(ast.copy_location(ast.Call(func=call.func, args=[ran], keywords=[]), call), file, False)
