"""Pure: the statements of a piece of Python that run when it runs."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from functools import cache, lru_cache

# Names and the contexts of names.
_PLAIN_FIELDS = frozenset(("ctx", "id", "attr", "kind", "type_comment"))


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


@lru_cache(maxsize=4096)  # each rule asks anew for those of every statement of a test
def own_parts(statement: ast.stmt) -> tuple[ast.AST, ...]:
    """What belongs to this statement itself, not to those inside it."""
    todo: list[ast.AST] = [statement]
    found: list[ast.AST] = []
    while todo:
        node = todo.pop()
        found.append(node)
        todo += [child for child in children(node) if not isinstance(child, (ast.stmt, ast.ExceptHandler))]
    return tuple(found)


def children(node: ast.AST) -> Iterator[ast.AST]:
    """What ``ast.iter_child_nodes`` gives, but for the contexts of names, which no rule looks at."""
    for name in _with_nodes(node._fields):
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            yield value
        elif isinstance(value, list):
            yield from (one for one in value if isinstance(one, ast.AST))


@cache
def _with_nodes(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in fields if name not in _PLAIN_FIELDS)


def all_parts(node: ast.AST) -> Iterator[ast.AST]:
    """The node and everything below it, from the outside in, as ``ast.walk`` gives it."""
    todo = deque([node])
    while todo:
        one = todo.popleft()
        todo.extend(children(one))
        yield one
