"""Reads the constants by which a Python file declares what it needs. No test file is ever imported."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

from trainci.model.gates import Gate, gate_of
from trainci.model.tests import Declarations
from trainci.text import printable

_OPERATORS: dict[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}
# Enough for any host, and small enough that no expression can take memory or time.
_LARGEST = 10**9

_T = TypeVar("_T")


def parse(source: bytes | str) -> ast.Module:
    """The syntax tree of a Python file, or of its text.

    :raises SyntaxError, ValueError, RecursionError, MemoryError: it does not parse.
    """
    with warnings.catch_warnings():
        # An invalid escape in somebody's test is not worth a line on our standard error.
        warnings.simplefilter("ignore")
        # Bytes, so that Python itself applies the file's coding line and byte-order mark.
        return ast.parse(source)


def constants(tree: ast.Module, file: str) -> Declarations:
    """What the constants at the top level of ``file`` declare, with a ``fault`` when one is no constant."""
    try:
        count, line = _declared(tree.body, "NUM_GPUS", _count)
        nodes, nodes_line = _declared(tree.body, "NUM_NODES", _count)
        if nodes == 0:
            raise _Misdeclared("NUM_NODES", nodes_line, "is 0; a test has a node to run on")
        flag, flag_line = _declared(tree.body, "REQUIRES_GPU", _flag)
        if flag and count == 0:
            raise _Misdeclared("REQUIRES_GPU", flag_line, "contradicts NUM_GPUS = 0; remove one of them")
        metrics, _ = _declared(tree.body, "METRICS", _gates) if _declares_metrics(tree.body) else (None, 1)
    except _Misdeclared as error:
        return Declarations(line=error.line, fault=f"{printable(file)}:{error.line}: {error}")
    return Declarations(
        num_gpus=count,
        num_nodes=nodes,
        line=line,
        requires_gpu=bool(flag),
        requires_gpu_line=flag_line,
        metrics=metrics or (),
    )


class _NotConstant(Exception):
    pass


class _Misdeclared(Exception):
    def __init__(self, name: str, line: int, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.line = line


def _declared(body: list[ast.stmt], name: str, read: Callable[[ast.expr], _T]) -> tuple[_T | None, int]:
    """The value of ``name`` at the top level (None for none), and its line.

    :raises _Misdeclared: it is no constant, or not the only one.
    """
    found = list(_bindings(body, name))
    if not found:
        return None, 1
    line = found[-1][0]
    try:
        values = {_value(value, read) for _, value in found}
        if len(values) == 1:
            return values.pop(), line
        reason = f"is set on several lines ({', '.join(str(at) for at, _ in found)}); keep one"
    except _NotConstant as error:
        reason = str(error)
    except RecursionError:
        reason = "is too long a sum; write its value"
    raise _Misdeclared(name, line, reason)


def _bindings(body: list[ast.stmt], name: str) -> Iterator[tuple[int, ast.expr | str]]:
    """Each binding of ``name`` at the top level: its line, and its value or why it has none."""
    for node in body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_is_name(target, name) for target in targets) and node.value is not None:
                yield node.lineno, node.value
            elif node.value is not None and any(_is_name(inner, name) for t in targets for inner in ast.walk(t)):
                yield node.lineno, "is unpacked from a tuple; give it a line of its own"
        elif isinstance(node, ast.AugAssign) and _is_name(node.target, name):
            yield node.lineno, "is changed after its declaration; write the final value"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            if any((alias.asname or alias.name) == name for alias in node.names):
                yield node.lineno, "is imported; write the value in this file, which is read and never run"
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            for inner in ast.walk(node):
                if _is_name(inner, name) and isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    kind = type(node).__name__.lower()
                    yield inner.lineno, f"is set inside a `{kind}` block; write one constant at the top level"


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _value(node: ast.expr | str, read: Callable[[ast.expr], _T]) -> _T:
    if isinstance(node, str):
        raise _NotConstant(node)
    return read(node)


def _declares_metrics(body: list[ast.stmt]) -> bool:
    """Whether METRICS is ours: a table of gates, and no list or table of functions that is called so, too."""
    found = [value for _, value in _bindings(body, "METRICS") if isinstance(value, ast.Dict)]
    ours = (ast.Constant, ast.Dict, ast.UnaryOp)
    return any(isinstance(item, ours) for value in found for item in value.values)


def _gates(node: ast.expr) -> tuple[Gate, ...]:
    try:
        said = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError):
        raise _NotConstant(f"must be written out, and {_source(node)} is not: this file is read, not run") from None
    try:
        return tuple(gate_of(metric, gate) for metric, gate in said.items())
    except ValueError as error:
        raise _NotConstant(f"is no table of gates: {printable(str(error))}") from None


def _flag(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return node.value
    raise _NotConstant(
        f"must be True or False, and {_source(node)} is neither: this file is read, not run, to know it"
    )


def _count(node: ast.expr) -> int:
    value = _evaluate(node)
    if value < 0:
        raise _NotConstant(f"is {value}; it cannot be negative")
    return value


def _evaluate(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        if node.value <= _LARGEST:
            return node.value
        raise _NotConstant(f"is out of range: {_source(node)}")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        operand = _evaluate(node.operand)
        return -operand if isinstance(node.op, ast.USub) else operand
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _evaluate(node.left), _evaluate(node.right)
        powerful = isinstance(node.op, (ast.Pow, ast.LShift))
        if not powerful or 0 <= right <= 30:
            try:
                value = _OPERATORS[type(node.op)](left, right)
            except ZeroDivisionError:
                raise _NotConstant(f"divides by zero: {_source(node)}") from None
            if abs(value) <= _LARGEST:
                return value
        raise _NotConstant(f"is out of range: {_source(node)}")
    raise _NotConstant(
        f"must be a whole number or arithmetic on whole numbers (2 * 4), and {_source(node)} is not: "
        "this file is read, not run, to know it"
    )


def _source(node: ast.expr) -> str:
    try:
        text = printable(ast.unparse(node))
    except ValueError:  # Python writes no integer of more than some thousand digits.
        return "the number"
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"
