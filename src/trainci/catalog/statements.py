"""Pure: the statements of a piece of Python that run when it runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def statements(body: list[ast.stmt], certain: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """Every statement below ``body`` but those of inner functions; with whether it certainly runs."""
    for node in body:
        yield node, certain
        if isinstance(node, (ast.With, ast.AsyncWith)):
            yield from statements(node.body, certain)
        elif isinstance(node, ast.Try):
            yield from statements([*node.body, *node.orelse, *node.finalbody], certain)
            for handler in node.handlers:
                yield from statements(handler.body, False)
        elif isinstance(node, (ast.If, ast.For, ast.AsyncFor, ast.While)):
            once = certain and isinstance(node, ast.For) and _has_a_first(node.iter)
            yield from statements(node.body, once)
            yield from statements(node.orelse, False)


def _has_a_first(values: ast.expr) -> bool:
    """``for check in [a, b]:`` goes through its body."""
    listed = values.elts if isinstance(values, (ast.List, ast.Tuple)) else []
    return any(not isinstance(one, ast.Starred) for one in listed)


def own_parts(statement: ast.stmt) -> Iterator[ast.AST]:
    """What belongs to this statement itself, not to those inside it."""
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        yield node
        todo += [
            child for child in ast.iter_child_nodes(node) if not isinstance(child, (ast.stmt, ast.ExceptHandler))
        ]
