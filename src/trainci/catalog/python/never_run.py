"""Pure: what a file makes, names or defines and never runs, and where it ends before its tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence, Set

from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names, asserts, is_generator
from trainci.catalog.python.result_calls import ends_green
from trainci.catalog.python.says import is_idle, only_says
from trainci.catalog.scopes import Scope
from trainci.catalog.statements import all_parts, statements

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOADS = ("loadTestsFromTestCase", "loadTestsFromModule", "loadTestsFromName", "loadTestsFromNames", "discover")
_SUITES = ("unittest.TestSuite", "unittest.makeSuite")


def whole_block(block: ast.If, file: Names) -> LostResult | None:
    """Why nothing of a ``__main__`` block that could be a test ever runs, if that is so."""
    return _is_false(block) or _does_nothing(block) or _ends_at_once(block, file) or _only_says(block, file)


def _is_false(block: ast.If) -> LostResult | None:
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
    if isinstance(block.test, ast.Constant):
        return None  # a whole program
    calls = any(isinstance(part, (ast.Call, ast.Await)) for node in block.body for part in all_parts(node))
    if calls or any(isinstance(node, (ast.Raise, ast.Assert, ast.For, ast.While, ast.With)) for node in block.body):
        return None
    for node in block.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Name, ast.Attribute)):
            return _not_called(node, certain=True)
    if any(isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign)) for node in block.body):
        return None
    return LostResult(block.lineno, "the `__main__` block does nothing", "Call what runs the tests.", certain=True)


def _only_says(block: ast.If, file: Names) -> LostResult | None:
    """A block that prints something, in a file of tests that nothing calls."""
    tests = {name for name in file.functions if name.startswith("test")}
    tests |= {
        name for name in file.classes if name.startswith("Test") or file.bases.get(name, "").endswith("TestCase")
    }
    idle = all(isinstance(node, (ast.Import, ast.ImportFrom)) or is_idle(node, file) for node in block.body)
    calls = [part for node in block.body for part in all_parts(node) if isinstance(part, ast.Call)]
    idle = idle and all(only_says(call, file) for call in calls)
    if isinstance(block.test, ast.Constant) or not idle or not tests or tests & file.called:
        return None
    what, mend = "the `__main__` block runs none of the file's tests", "Write `sys.exit(pytest.main([__file__]))`."
    return LostResult(block.lineno, what, mend, certain=True)


def _not_called(statement: ast.Expr, certain: bool) -> LostResult:
    name = ast.unparse(statement.value)
    return LostResult(statement.lineno, f"`{name}` is named here and not called", f"Write `{name}()`.", certain)


def ends_before_the_rest(scope: Scope, file: Names) -> Iterator[LostResult]:
    """An exit with 0 in the middle of a function or a block: what stands behind it never runs."""
    for number, node in enumerate(scope.body[:-1]):
        if ends_green(node, file):
            before = all(
                is_idle(one, file) or isinstance(one, (ast.Import, ast.ImportFrom)) for one in scope.body[:number]
            )
            what = "the program ends here, before what follows"
            yield LostResult(node.lineno, what, "Take the exit away.", scope.certain and before)
            return


def never_run(statement: ast.stmt, file: Names, certain: bool, inner: Set[str]) -> Iterator[LostResult]:
    """What is made and never run: a coroutine, a generator, a lambda. A decorator may run it.

    ``inner`` are the coroutines that stand in the same function.
    """
    if not isinstance(statement, ast.Expr):
        return
    value = statement.value
    if isinstance(value, (ast.Lambda, ast.GeneratorExp)):
        what = "a lambda that nobody calls" if isinstance(value, ast.Lambda) else "a generator that nobody runs"
        yield LostResult(statement.lineno, f"this is {what}", "Call it, or write a loop.", certain)
    # `mock.assert_called_once`, which is not called.
    if _is_own(value, file) or (isinstance(value, ast.Attribute) and value.attr.startswith("assert")):
        yield _not_called(statement, certain)
    if not isinstance(value, ast.Call):
        return
    name = file.name(value.func)
    function = file.functions.get(name)
    if name in ("map", "filter", "functools.partial"):
        yield LostResult(statement.lineno, f"`{name}` alone runs nothing", "Write a loop, or call it.", certain)
    elif function is None and (name in inner or _is_own_coroutine(value.func, file)):
        yield _not_awaited(statement, certain and name in inner)
    elif function is None or function.decorator_list:
        return
    elif is_generator(function):
        yield LostResult(statement.lineno, f"`{name}()` is a generator that nobody runs", "Write a loop.", certain)
    elif isinstance(function, ast.AsyncFunctionDef):
        yield _not_awaited(statement, certain)


def _not_awaited(statement: ast.Expr, certain: bool) -> LostResult:
    call = ast.unparse(statement.value)
    what, mend = f"`{call}` is a coroutine that nobody awaits", f"Write `asyncio.run({call})`, or `await` it."
    return LostResult(statement.lineno, what, mend, certain)


def _is_own_coroutine(called: ast.expr, file: Names) -> bool:
    """``self.check``, where every class of the file that has such a method makes a coroutine of it."""
    if not (isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "self"):
        return False
    methods = [
        node
        for one in file.classes.values()
        for node in one.body
        if isinstance(node, _FUNCTIONS) and node.name == called.attr
    ]
    return bool(methods) and all(
        isinstance(node, ast.AsyncFunctionDef) and not node.decorator_list and not is_generator(node)
        for node in methods
    )


def _is_own(value: ast.expr, file: Names) -> bool:
    """A function of the file, or a method of an object of its own."""
    if isinstance(value, ast.Name):
        return file.name(value) in file.functions
    if not isinstance(value, ast.Attribute) or not isinstance(value.value, ast.Call):
        return False
    made = file.classes.get(file.name(value.value.func))
    return made is not None and any(isinstance(node, _FUNCTIONS) and node.name == value.attr for node in made.body)


def made_for_nothing(call: ast.Call, file: Names, certain: bool) -> LostResult | None:
    """An object whose value goes nowhere and that does nothing by being made: a test case, a suite of tests."""
    name = file.name(call.func)
    last = call.func.attr if isinstance(call.func, ast.Attribute) else name
    loads = last in _LOADS and (last != "discover" or "loader" in ast.unparse(call.func).lower())
    if loads or name in _SUITES:
        what = "these tests are loaded and never run"
        return LostResult(call.lineno, what, "Write `unittest.main()`.", certain)
    made = file.classes.get(name)
    if made is None or made.decorator_list or made.keywords or not asserts(made):
        return None
    base = file.bases.get(name, "")
    works = any(isinstance(node, _FUNCTIONS) and node.name in ("__init__", "__new__") for node in made.body)
    if works or base not in ("", "object", "unittest.TestCase"):
        return None
    return LostResult(call.lineno, f"`{name}` is made here and never run", "Call what runs its tests.", certain)


def never_called(body: Sequence[ast.stmt]) -> Iterator[LostResult]:
    """A function inside of a function that asserts something, and that nobody names."""
    inner = [node for node, _ in statements(list(body), True) if isinstance(node, _FUNCTIONS)]
    named = {part.id for node in body for part in all_parts(node) if isinstance(part, ast.Name)} if inner else set()
    for node in inner:
        if not node.decorator_list and node.name not in named and asserts(node):
            what = f"`{node.name}` is defined here and never called"
            yield LostResult(node.lineno, what, f"Call `{node.name}()`.", certain=False)


def shadowed(body: Sequence[ast.stmt]) -> Iterator[LostResult]:
    """Of two tests with one name only the last is there."""
    before: dict[str, int] = {}
    for node in body:
        if isinstance(node, _FUNCTIONS) and node.name.startswith("test"):
            if node.name in before and not node.decorator_list:
                what = f"another `{node.name}`, in line {node.lineno}, takes the place of this test"
                yield LostResult(before[node.name], what, "Give one of them another name.", certain=False)
            before[node.name] = node.lineno
