"""Pure: tests of a file of pytest's that pytest never collects, by what they are called or how they are made."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from trainci.catalog.lost import LostResult
from trainci.catalog.names import asserts
from trainci.catalog.statements import all_parts

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_OF_PYTEST = ("test", "pytest_", "setup", "teardown", "_")


def not_collected(tree: ast.Module) -> Iterator[LostResult]:
    """Classes and functions that look like tests, and are none by pytest's own names for them."""
    found = [
        (node.name, lost)
        for node in tree.body
        if isinstance(node, (ast.ClassDef, *_FUNCTIONS))
        for lost in (_class(node) if isinstance(node, ast.ClassDef) else _function(node))
    ]
    named = _named(tree) if found else ()  # of a whole file, which few need
    yield from (lost for name, lost in found if name not in named)


def _named(tree: ast.Module) -> set[object]:
    """What the file names anywhere: a name, an attribute, a text."""
    kept = {ast.Name: "id", ast.Attribute: "attr", ast.Constant: "value"}
    return {getattr(part, kept[type(part)]) for part in all_parts(tree) if type(part) in kept}


def _class(node: ast.ClassDef) -> Iterator[LostResult]:
    """One that nothing else of the file names, so that no other class has its tests."""
    methods = {one.name for one in node.body if isinstance(one, _FUNCTIONS)}
    if not any(name.startswith("test") for name in methods):
        return
    if any(_is_left_out(one) for one in node.body):
        yield LostResult(node.lineno, f"`__test__` leaves the tests of `{node.name}` out", "Take it out.", False)
    elif node.bases or node.keywords or node.decorator_list:
        return
    elif not node.name.startswith("Test"):
        what = f"pytest collects no class that is called `{node.name}`"
        yield LostResult(node.lineno, what, f"Call it `Test{node.name.strip('_')}`.", False)
    elif {"__init__", "__new__"} & methods:
        what = f"pytest collects no class with an `__init__`, as `{node.name}` has"
        yield LostResult(node.lineno, what, "Write `setup_method`.", False)


def _is_left_out(node: ast.stmt) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id="__test__")], value=ast.Constant(value=False)):
            return True
    return False


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[LostResult]:
    marks = all(ast.unparse(one).startswith("pytest.mark.") for one in node.decorator_list)
    given = node.args.args or node.args.kwonlyargs or node.args.vararg or node.args.kwarg
    if node.name.startswith(_OF_PYTEST) or not marks or (given and not node.decorator_list) or not asserts(node):
        return
    what = f"`{node.name}` is called like no test, and by nobody"
    yield LostResult(node.lineno, what, f"Call it `test_{node.name}`.", False)
