"""Pure: assertions that hold whatever happens, comparisons that assert nothing, and tests that turn away first."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names, asserts
from trainci.catalog.python.says import skips

_COMPARES = (
    *("torch.allclose", "torch.equal", "torch.isclose", "math.isclose", "jax.numpy.allclose"),
    *("numpy.allclose", "numpy.isclose", "numpy.array_equal", "numpy.array_equiv"),
)
# What is a method of whatever has one.
_METHODS = ("all", "any", "allclose", "exists", "is_file", "is_dir", "startswith", "endswith", "wasSuccessful")
# What a mock takes for one more of its attributes.
_NO_ASSERTIONS = ("called_once", "called_once_with", "called_with", "not_called", "has_calls")
_MACHINE = re.compile(
    r"environ|getenv|is_available|device_count|find_spec|exists\(|platform|_AVAILABLE|^HAS_|^HAVE_"
)
_ASSERT_IT = "Write `assert` before it."


def assert_nothing(statement: ast.stmt, file: Names, certain: bool) -> Iterator[LostResult]:
    """``assert (x, "text")``, ``assert check`` of a function, ``a == b`` alone."""
    line = statement.lineno
    if isinstance(statement, ast.Assert):
        test = statement.test
        if isinstance(test, ast.Tuple) and test.elts:
            yield LostResult(line, "`assert (…, …)` is always true", "Leave its brackets out.", certain)
        elif isinstance(test, (ast.Lambda, ast.GeneratorExp)) or _is_text(test):
            yield LostResult(line, f"`assert` of {_kind(test)} is always true", "Assert what it is about.", False)
        elif isinstance(test, ast.Name) and file.name(test) in file.functions:
            yield LostResult(line, f"`assert {test.id}` is always true", f"Write `assert {test.id}()`.", False)
        elif isinstance(test, ast.Attribute) and test.attr in _METHODS:
            shown = ast.unparse(test)
            yield LostResult(line, f"`assert {shown}` is always true", f"Write `assert {shown}()`.", False)
        elif isinstance(test, ast.ListComp) and isinstance(test.elt, (ast.Compare, ast.BoolOp)):
            yield LostResult(line, "`assert` of a list is true where it has an element", "Write `all(…)`.", False)
    elif isinstance(statement, ast.Expr):
        value = statement.value
        if isinstance(value, ast.Compare):
            yield LostResult(line, "a comparison alone asserts nothing", _ASSERT_IT, False)
        elif isinstance(value, ast.Call) and file.name(value.func) in _COMPARES:
            name = file.name(value.func)
            yield LostResult(line, f"what `{name}` finds goes nowhere", _ASSERT_IT, False)
        elif isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            yield from _of_method(value, value.func.attr)


def says_how_it_went(value: ast.expr | None, file: Names) -> bool:
    """``a == b``, ``not a``, ``all(…)``, ``torch.allclose(…)``; or False, which no good test returns."""
    if isinstance(value, ast.Call):
        return file.name(value.func) in ("all", "any", *_COMPARES)
    if isinstance(value, ast.UnaryOp):
        return isinstance(value.op, ast.Not)
    return isinstance(value, (ast.Compare, ast.BoolOp)) or (
        isinstance(value, ast.Constant) and value.value is False
    )


def _of_method(call: ast.Call, name: str) -> Iterator[LostResult]:
    if name in _NO_ASSERTIONS:
        yield LostResult(call.lineno, f"`{name}` asserts nothing of a mock", f"Write `assert_{name}`.", False)
    text = call.args[1] if name in ("assertTrue", "assertFalse") and call.args[1:] else None
    if isinstance(text, ast.Constant) and not isinstance(text.value, (str, type(None))):
        what = f"the second argument of `{name}` is only what it says"
        yield LostResult(call.lineno, what, "Write `assertEqual`.", False)


def _is_text(test: ast.expr) -> bool:
    return (isinstance(test, ast.Constant) and isinstance(test.value, str) and bool(test.value)) or (
        isinstance(test, ast.JoinedStr) and bool(test.values)
    )


def _kind(test: ast.expr) -> str:
    return (
        "a lambda"
        if isinstance(test, ast.Lambda)
        else "a generator"
        if isinstance(test, ast.GeneratorExp)
        else "a text"
    )


def turns_away(body: Sequence[ast.stmt]) -> Iterator[LostResult]:
    """A test that returns before it asserts anything: always, or by what machine it is on."""
    first = next((number for number, node in enumerate(body) if asserts(node)), 0)
    for node in body[:first]:
        if isinstance(node, (ast.Raise, ast.Try)):
            return
        if isinstance(node, ast.Return):
            yield LostResult(node.lineno, "the test returns here, before it asserts", "Take it out.", False)
            return
        last = node.body[-1] if isinstance(node, ast.If) and not node.orelse else None
        leaves = isinstance(last, ast.Return) and last.value is None
        if (
            isinstance(node, ast.If)
            and leaves
            and not any(map(skips, node.body))
            and _MACHINE.search(ast.unparse(node.test))
        ):
            what = "the test passes here without an assertion"
            yield LostResult(node.body[-1].lineno, what, "Write `pytest.skip(…)`.", False)
            return
