"""Pure: results of tests that a file's ``__main__`` block throws away, so that it is green whatever they are.

``pytest.main([__file__])`` returns an exit code and raises nothing; so do ``unittest.main(exit=False)``, a test
runner's ``run`` and ``subprocess.run`` without ``check``. Followed from the block into the functions that it calls.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names, is_generator
from trainci.catalog.result_calls import ends_green, kind_of, lost_by, lost_inside
from trainci.catalog.says import is_idle, only_says
from trainci.catalog.scopes import Scope, reached
from trainci.catalog.statements import own_parts, statements
from trainci.catalog.swallowed import suppressed, swallowed


def lost_results(block: ast.If, file: Names) -> tuple[LostResult, ...]:
    """What ``block``, an ``if __name__ == "__main__":`` of ``file``, throws away, in the order of the lines."""
    if nothing := _never_runs(block) or _does_nothing(block) or _ends_at_once(block, file):
        return (nothing,)
    found: dict[tuple[int, str], LostResult] = {}
    for scope in reached(block, file):
        for lost in _lost_in(scope, file):
            known = found.get((lost.line, lost.what))
            found[lost.line, lost.what] = known if known and known.certain else lost
    return tuple(sorted(found.values(), key=lambda lost: (lost.line, lost.what)))


def lost_in_tests(tree: ast.Module, file: Names) -> tuple[LostResult, ...]:
    """What the single tests of a file of pytest's or unittest's throw away, in the order of the lines."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    holders = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    tests = [
        node for body in holders for node in body if isinstance(node, functions) and node.name.startswith("test")
    ]
    found = {lost for test in tests for lost in _lost_in(Scope(test.body, certain=False), file)}
    what, mend = "what a test returns counts for nothing", "Assert it."
    found |= {
        LostResult(statement.lineno, what, mend, certain=False)
        for test in tests
        for statement, _ in statements(test.body, True)
        if isinstance(statement, ast.Return) and isinstance(statement.value, (ast.Compare, ast.BoolOp))
    }
    found |= set(_never_awaited(tree, file))
    return tuple(sorted(found, key=lambda lost: (lost.line, lost.what)))


def _never_awaited(tree: ast.Module, file: Names) -> Iterator[LostResult]:
    """``async def`` in a plain TestCase: unittest calls it, and lets the coroutine fall."""
    cases = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(file.name(base) == "unittest.TestCase" for base in node.bases)
    ]
    for test in (node for case in cases for node in case.body):
        if isinstance(test, ast.AsyncFunctionDef) and test.name.startswith("test"):
            what = "unittest does not await a test of a plain `TestCase`"
            yield LostResult(test.lineno, what, "Write `unittest.IsolatedAsyncioTestCase`.", certain=False)


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
    unused = _stored_names(scope) - used
    for statement, certain in statements(scope.body, scope.certain):
        yield from _never_run(statement, file, certain)
        yield from lost_inside(statement, kinds, file, certain)
        for call in _dropped_calls(statement, used, file):
            lost = lost_by(call, kinds, file, certain)
            if lost is not None:
                yield lost
        if isinstance(statement, ast.Try):
            yield from swallowed(statement, file, unused, certain and scope.is_block)
        elif isinstance(statement, ast.With):
            yield from suppressed(statement, file)


def _never_run(statement: ast.stmt, file: Names, certain: bool) -> Iterator[LostResult]:
    """What is made and never run: a coroutine, a generator, a lambda. A decorator may run it."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(value, (ast.Lambda, ast.GeneratorExp)):
        what = "a lambda that nobody calls" if isinstance(value, ast.Lambda) else "a generator that nobody runs"
        yield LostResult(statement.lineno, f"this is {what}", "Call it, or write a loop.", certain)
    if not isinstance(value, ast.Call):
        return
    name = file.name(value.func)
    function = file.functions.get(name)
    if name in ("map", "filter", "functools.partial"):
        yield LostResult(statement.lineno, f"`{name}` alone runs nothing", "Write a loop, or call it.", certain)
    elif function is None or function.decorator_list:
        return
    elif is_generator(function):
        yield LostResult(statement.lineno, f"`{name}()` is a generator that nobody runs", "Write a loop.", certain)
    elif isinstance(function, ast.AsyncFunctionDef):
        mend = f"Write `asyncio.run({name}())`."
        yield LostResult(statement.lineno, f"`{name}()` is a coroutine that nobody awaits", mend, certain)


def _kinds_of_names(scope: Scope, file: Names) -> dict[str, str]:
    """Local names that hold a test runner, a process or a pool: ``runner = unittest.TextTestRunner()``."""
    kinds: dict[str, str] = {}
    for statement, _ in statements(scope.body, True):
        if isinstance(statement, ast.Assign) and (kind := _kind(statement.value, file)):
            kinds.update({target.id: kind for target in statement.targets if isinstance(target, ast.Name)})
        elif isinstance(statement, ast.With):
            kinds.update(
                {
                    item.optional_vars.id: _kind(item.context_expr, file)
                    for item in statement.items
                    if isinstance(item.optional_vars, ast.Name)
                }
            )
        elif isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):
            kinds.setdefault(statement.target.id, kinds.get(file.name(statement.iter), ""))
    return kinds


def _kind(value: ast.expr, file: Names) -> str:
    """What a value is made by; of a list, what its first element is."""
    if isinstance(value, (ast.ListComp, ast.SetComp)):
        value = value.elt
    elif isinstance(value, (ast.List, ast.Tuple)) and value.elts:
        value = value.elts[0]
    return kind_of(value, file) if isinstance(value, ast.Call) else ""


def _stored_names(scope: Scope) -> set[str]:
    return {
        part.id
        for statement, _ in statements(scope.body, True)
        for part in own_parts(statement)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }


def _used_names(scope: Scope, file: Names) -> set[str]:
    """Names of which something is made other than a line of output."""
    used: set[str] = set()
    for statement, _ in statements(scope.body, True):
        if isinstance(statement, ast.If) and _only_tells(statement, file):
            continue
        said = {
            id(inner)
            for part in own_parts(statement)
            if isinstance(part, ast.Call) and only_says(part, file)
            for inner in ast.walk(part)
        }
        used |= {
            part.id
            for part in own_parts(statement)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and id(part) not in said
        }
    return used


def _only_tells(statement: ast.If, file: Names) -> bool:
    """Whether nothing but a line of output comes of a condition."""
    return all(is_idle(inner, file) for inner in (*statement.body, *statement.orelse))


def _dropped_calls(statement: ast.stmt, used: set[str], file: Names) -> Iterator[ast.Call]:
    """The calls of a statement whose value goes nowhere."""
    if isinstance(statement, ast.Expr):
        yield from _outermost(statement.value, file)
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if all(isinstance(target, ast.Name) and target.id not in used for target in targets):
            yield from _outermost(statement.value, file)
    elif isinstance(statement, ast.If) and _only_tells(statement, file):
        test = statement.test
        for side in (test.left, *test.comparators) if isinstance(test, ast.Compare) else (test,):
            yield from _outermost(side, file)


def _outermost(value: ast.expr, file: Names) -> Iterator[ast.Call]:
    """The call that is this value, seen through ``await`` and through what only prints it."""
    if isinstance(value, ast.Await):
        value = value.value
    elif isinstance(value, (ast.ListComp, ast.SetComp)):
        value = value.elt
    elif isinstance(value, ast.UnaryOp):
        value = value.operand
    if not isinstance(value, ast.Call):
        return
    if only_says(value, file) or file.name(value.func) == "asyncio.run":
        for argument in value.args:
            yield from _outermost(argument, file)
    else:
        yield value
