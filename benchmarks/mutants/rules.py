"""Mutants by rule: one small change of the arithmetic or the state of a file, found in its syntax tree."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
_OPPOSITES = {"min": "max", "minimum": "maximum", "amin": "amax", "argmin": "argmax", "any": "all"}
_OPPOSITES |= {theirs: ours for ours, theirs in _OPPOSITES.items()}
_REDUCTIONS = {"all_reduce", "broadcast", "all_gather", "gather"}


@dataclass(frozen=True)
class Mutant:
    rule: str
    line: int
    before: str
    after: str
    source: str
    """The whole file with the change."""


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a file, in the order of its lines."""
    tree = ast.parse(source)
    skipped = {id(node) for node in _words(tree)}
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in skipped or not hasattr(node, "lineno"):
            continue
        for rule, change in _changes(node):
            changed = copy.deepcopy(tree)
            twin = next(other for place, other in enumerate(ast.walk(changed)) if place == number)
            before = ast.unparse(node)
            after = change(twin)
            yield Mutant(rule, node.lineno, before, after, ast.unparse(ast.fix_missing_locations(changed)))


def _words(tree: ast.AST) -> Iterator[ast.AST]:
    """What is said and not computed: annotations, messages, docstrings, imports; what zip asserts by ``strict``."""
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
            parts = [node]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parts = [node.returns, *node.decorator_list, *(argument.annotation for argument in node.args.args)]
            parts += [argument.annotation for argument in node.args.kwonlyargs]
        elif isinstance(node, ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.keyword) and node.arg == "strict":
            parts = [node.value]
        for part in parts:
            if part is not None:
                yield from ast.walk(part)


def _changes(node: ast.AST):  # type: ignore[no-untyped-def]
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _OPERATORS:
        yield "operator", _other_operator
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OPERATORS:
        yield "comparison", _other_comparison
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "constant", _other_constant
    elif (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and not isinstance(node.operand, ast.Constant)
    ):
        yield "sign", _without_sign
    elif isinstance(node, ast.Slice) and (node.lower or node.upper):
        yield "slice", _shifted
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "dropped statement", _dropped
    elif isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in _OPPOSITES:
            yield "min and max", _opposite
        if name in _REDUCTIONS and len(node.args) == 1:
            yield "missing reduce", _alone
        if len(node.args) >= 2 and not any(
            isinstance(argument, ast.Constant | ast.Starred) for argument in node.args[:2]
        ):
            yield "swapped arguments", _swapped


def _other_operator(node: ast.AST) -> str:
    node.op = _OPERATORS[type(node.op)]()  # type: ignore[attr-defined]
    return ast.unparse(node)


def _other_comparison(node: ast.Compare) -> str:
    node.ops = [_OPERATORS[type(node.ops[0])]()]  # type: ignore[list-item]
    return ast.unparse(node)


def _other_constant(node: ast.Constant) -> str:
    value = node.value
    node.value = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value * 2 or 1.0  # type: ignore[operator]
    return ast.unparse(node)


def _without_sign(node: ast.UnaryOp) -> str:
    node.op = ast.UAdd()
    return ast.unparse(node)


def _shifted(node: ast.Slice) -> str:
    side = "lower" if node.lower else "upper"
    setattr(node, side, ast.BinOp(getattr(node, side), ast.Add(), ast.Constant(1)))
    return ast.unparse(node)


def _dropped(node: ast.Expr) -> str:
    node.value = ast.Constant(None)
    return "pass"


def _opposite(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        node.func.attr = _OPPOSITES[node.func.attr]
    elif isinstance(node.func, ast.Name):
        node.func.id = _OPPOSITES[node.func.id]
    return ast.unparse(node)


def _alone(node: ast.Call) -> str:
    """A list of what this rank has, in place of what all have."""
    argument = node.args[0]
    node.func, node.args, node.keywords = ast.Name("list", ast.Load()), [ast.Tuple([argument], ast.Load())], []
    return ast.unparse(node)


def _swapped(node: ast.Call) -> str:
    node.args[0], node.args[1] = node.args[1], node.args[0]
    return ast.unparse(node)
