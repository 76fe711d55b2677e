"""Pure: results of tests that a file's ``__main__`` block throws away, so that it is green whatever they are.

``pytest.main([__file__])`` returns an exit code and raises nothing; so do ``unittest.main(exit=False)``, a test
runner's ``run`` and ``subprocess.run`` without ``check``. Followed from the block into the functions that it calls.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from trainci.catalog.names import Names
from trainci.catalog.result_calls import LostResult, ends_green, lost_by
from trainci.catalog.scopes import Scope, reached
from trainci.catalog.statements import own_parts, statements

_SAYS = ("print", "traceback.print_exc", "traceback.print_exception", "warnings.warn", "pprint.pprint")
_LOGGERS = ("logging", "logger", "log", "_logger", "LOGGER")
_CATCHES_FAILURES = ("Exception", "BaseException", "AssertionError", "SystemExit")


def lost_results(tree: ast.Module, block: ast.If) -> tuple[LostResult, ...]:
    """What ``block``, the ``if __name__ == "__main__":`` of ``tree``, throws away, in the order of the lines."""
    file = Names(tree)
    if nothing := _never_runs(block) or _does_nothing(block) or _ends_at_once(block, file):
        return (nothing,)
    found: dict[tuple[int, str], LostResult] = {}
    for scope in reached(block, file):
        for lost in _lost_in(scope, file):
            known = found.get((lost.line, lost.what))
            found[lost.line, lost.what] = known if known and known.certain else lost
    return tuple(sorted(found.values(), key=lambda lost: (lost.line, lost.what)))


def _never_runs(block: ast.If) -> LostResult | None:
    """``if __name__ == "__main__" and False:``."""
    parts = block.test.values if isinstance(block.test, ast.BoolOp) and isinstance(block.test.op, ast.And) else []
    if not any(isinstance(part, ast.Constant) and not part.value for part in parts):
        return None
    return LostResult(block.lineno, "the `__main__` block never runs", "Take the constant away.", certain=True)


def _ends_at_once(block: ast.If, file: Names) -> LostResult | None:
    """It exits with 0, and what would run the tests stands behind that."""
    first, *rest = [node for node in block.body if not isinstance(node, (ast.Import, ast.ImportFrom))] or [block]
    if not rest or not ends_green(first, file):
        return None
    return LostResult(first.lineno, "the block ends here, before its tests", "Take the exit away.", certain=True)


def _does_nothing(block: ast.If) -> LostResult | None:
    """A block that calls nothing, or that names a function and does not call it."""
    calls = any(isinstance(part, (ast.Call, ast.Await)) for node in block.body for part in ast.walk(node))
    if calls or any(isinstance(node, (ast.Raise, ast.Assert, ast.For, ast.While, ast.With)) for node in block.body):
        return None
    for node in block.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Name, ast.Attribute)):
            name = ast.unparse(node.value)
            return LostResult(
                node.lineno, f"`{name}` is named here and not called", f"Write `{name}()`.", certain=True
            )
    if any(isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign)) for node in block.body):
        return None
    return LostResult(block.lineno, "the `__main__` block does nothing", "Call what runs the tests.", certain=True)


def _lost_in(scope: Scope, file: Names) -> Iterator[LostResult]:
    kinds = _kinds_of_names(scope, file)
    used = _used_names(scope, file)
    for statement, certain in statements(scope.body, scope.certain):
        if unawaited := _unawaited(statement, file, certain):
            yield unawaited
        for call in _dropped_calls(statement, used, file):
            lost = lost_by(call, kinds, file, certain)
            if lost is not None:
                yield lost
        if isinstance(statement, ast.Try):
            yield from _swallowed(statement, file, certain and scope.is_block)
        elif isinstance(statement, ast.With) and any(
            _suppresses(item.context_expr, file) for item in statement.items
        ):
            yield LostResult(
                statement.lineno, "failures inside this `with` are suppressed", "Let them through.", certain=False
            )


def _unawaited(statement: ast.stmt, file: Names, certain: bool) -> LostResult | None:
    """A coroutine that is made and never run. A decorator may run it."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    name = file.name(call.func) if isinstance(call, ast.Call) else ""
    function = file.functions.get(name)
    if not isinstance(function, ast.AsyncFunctionDef) or function.decorator_list:
        return None
    mend = f"Write `asyncio.run({name}())`."
    return LostResult(statement.lineno, f"`{name}()` is a coroutine that nobody awaits", mend, certain)


def _kinds_of_names(scope: Scope, file: Names) -> dict[str, str]:
    """Local names that hold a test runner or a process: ``runner = unittest.TextTestRunner()``."""
    kinds: dict[str, str] = {}
    for statement, _ in statements(scope.body, True):
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            kind = file.name(statement.value.func)
            kinds.update({target.id: kind for target in statement.targets if isinstance(target, ast.Name)})
    return kinds


def _used_names(scope: Scope, file: Names) -> set[str]:
    """Names of which something is made other than a line of output."""
    used: set[str] = set()
    for statement, _ in statements(scope.body, True):
        said = {
            id(inner)
            for part in own_parts(statement)
            if isinstance(part, ast.Call) and _only_says(part, file)
            for inner in ast.walk(part)
        }
        used |= {
            part.id
            for part in own_parts(statement)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and id(part) not in said
        }
    return used


def _only_says(call: ast.Call, file: Names) -> bool:
    name = file.name(call.func)
    return name in _SAYS or name.partition(".")[0] in _LOGGERS


def _dropped_calls(statement: ast.stmt, used: set[str], file: Names) -> Iterator[ast.Call]:
    """The calls of a statement whose value goes nowhere."""
    if isinstance(statement, ast.Expr):
        yield from _outermost(statement.value, file)
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if all(isinstance(target, ast.Name) and target.id not in used for target in targets):
            yield from _outermost(statement.value, file)


def _outermost(value: ast.expr, file: Names) -> Iterator[ast.Call]:
    """The call that is this value, seen through ``await`` and through what only prints it."""
    if isinstance(value, ast.Await):
        value = value.value
    if not isinstance(value, ast.Call):
        return
    if _only_says(value, file) or file.name(value.func) == "asyncio.run":
        for argument in value.args:
            yield from _outermost(argument, file)
    else:
        yield value


def _swallowed(node: ast.Try, file: Names, certain: bool) -> Iterator[LostResult]:
    """Handlers that only print the failure of what they are around."""
    calls_tests = any(
        isinstance(part, ast.Name) and part.id in file.functions for inner in node.body for part in ast.walk(inner)
    )
    for handler in node.handlers if calls_tests else ():
        *before, last = handler.body
        if _catches_failures(handler, file) and all(_is_idle(inner, file) for inner in before):
            if _is_idle(last, file):
                what = "an `except` catches the failure and only prints it"
                yield LostResult(handler.lineno, what, "Raise it again, or exit with 1.", certain)
            elif ends_green(last, file):
                what = "an `except` catches the failure and exits with 0"
                yield LostResult(last.lineno, what, "Raise it again, or exit with 1.", certain)
    for inner in node.finalbody if calls_tests else ():
        if ends_green(inner, file):
            what = "a `finally` exits with 0 whatever failed"
            yield LostResult(inner.lineno, what, "Take the exit out of the `finally`.", certain)


def _catches_failures(handler: ast.ExceptHandler, file: Names) -> bool:
    if handler.type is None:
        return True
    kinds: Iterable[ast.expr] = handler.type.elts if isinstance(handler.type, ast.Tuple) else (handler.type,)
    return any(file.name(kind) in _CATCHES_FAILURES for kind in kinds)


def _is_idle(statement: ast.stmt, file: Names) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    return isinstance(value, ast.Constant) or (isinstance(value, ast.Call) and _only_says(value, file))


def _suppresses(node: ast.expr, file: Names) -> bool:
    return (
        isinstance(node, ast.Call)
        and file.name(node.func) == "contextlib.suppress"
        and any(file.name(argument) in _CATCHES_FAILURES for argument in node.args)
    )
