"""Pure: whether a program expects that something which it starts fails, by its own text.

Such a program is right where what it started has failed; what it does not expect, its exit code must tell.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

_CODE = re.compile(
    r"return_?code|exit_?code|ret_?code|status|(?:^|[._(])(?:rc|ret|code|wait|poll|call|main|system)\b"
)
# The last line of pytest's, as somebody looks for it.
_SUMMARY = re.compile(r"\b\d+ (?:failed|errors?)\b|FAILED ?\((?:failures|errors)=")
_CALLED = re.compile(r"CalledProcessError|SystemExit")
_UNEQUAL = ("assertNotEqual", "assertGreater", "assertLess", "assertTrue")


def expects_failure(tree: ast.AST, *, by_framework: bool = False) -> bool:
    """Whether the program asserts another exit code than 0, or that what it started says that tests failed.

    ``by_framework``: its tests are run by one, which judges what they expect.
    """
    return any(_expects(node) for node in (_outside_tests(tree) if by_framework else ast.walk(tree)))


def shell_expects_failure(text: str) -> bool:
    """Whether a script looks for what a framework says where tests failed."""
    return any(
        _SUMMARY.search(line) and re.search(r"\b[ef]?grep\b|\brg\b|=~|==", line)
        for line in text.splitlines()
        if not line.lstrip().startswith("#")
    )


def _outside_tests(tree: ast.AST) -> Iterator[ast.AST]:
    left = [tree]
    while left:
        node = left.pop()
        yield node
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        left += [
            inner
            for inner in ast.iter_child_nodes(node)
            if not (isinstance(inner, kinds) and inner.name.lower().startswith("test"))
        ]


def _expects(node: ast.AST) -> bool:
    match node:
        case ast.Assert(test=test):
            return _is_bad_code(test) or any(_looks_for_summary(part) for part in ast.walk(test))
        case ast.Call(func=ast.Attribute(attr=name), args=[first, *rest]) if name in _UNEQUAL:
            return is_code(first) and (not rest or name == "assertNotEqual" or _number(rest[0]) == 0)
        case ast.Call(func=ast.Attribute(attr="assertEqual"), args=[first, second, *_]):
            return is_code(first) and bool(_number(second))
        case ast.Call(func=ast.Attribute(attr="assertIn"), args=[ast.Constant(value=str(text)), *_]):
            return bool(_SUMMARY.search(text))
        case ast.withitem(
            context_expr=ast.Call(func=ast.Attribute(attr="raises" | "assertRaises"), args=[kind, *_])
        ):
            return bool(_CALLED.search(ast.unparse(kind)))
        case ast.If(test=test, body=[ast.Raise(), *_]):
            return _is_code_of_success(test)
        case ast.Try(handlers=handlers, body=body, orelse=orelse):
            caught = any(handler.type and _CALLED.search(ast.unparse(handler.type)) for handler in handlers)
            return caught and any(isinstance(part[-1], ast.Raise) for part in (body, orelse) if part)
    return False


def _is_bad_code(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if is_code(left):
            number = _number(right)
            if isinstance(operator, (ast.NotEq, ast.Gt, ast.Lt)):
                return number == 0
            if isinstance(operator, ast.In):
                return isinstance(right, (ast.Tuple, ast.List, ast.Set)) and all(map(_number, right.elts))
            return isinstance(operator, ast.Eq) and bool(number)
        case ast.BoolOp(op=ast.And(), values=values):
            return any(map(_is_bad_code, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _is_code_of_success(operand)
    return isinstance(test, (ast.Attribute, ast.Name)) and is_code(test)


def _is_code_of_success(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            return is_code(left) and _number(right) == 0
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return is_code(operand)
    return False


def _looks_for_summary(node: ast.AST) -> bool:
    match node:
        case ast.Compare(left=ast.Constant(value=str(text)), ops=[ast.In()]):
            return bool(_SUMMARY.search(text))
    return False


def is_code(node: ast.expr) -> bool:
    """Whether it says by its words how something ended: ``done.returncode``."""
    return bool(_CODE.search(ast.unparse(node)))


def _number(node: ast.expr) -> int | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if type(value) is int else None
