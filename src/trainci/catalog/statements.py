"""Pure: the statements of a piece of Python that run when it runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

# Names and the contexts of names.
_PLAIN_FIELDS = frozenset(("ctx", "id", "attr", "kind", "type_comment"))
_NOTEBOOK = re.compile(r"ipython|colab|jupyter|notebook", re.IGNORECASE)
# Most statements, in which no other stands.
_SIMPLE = (ast.Expr, ast.Assign, ast.Assert)


def statements(body: list[ast.stmt], certain: bool) -> list[tuple[ast.stmt, bool]]:
    """Every statement below ``body`` but those of inner functions; with whether it certainly runs."""
    found: list[tuple[ast.stmt, bool]] = []
    for node in _outside_notebooks(body):
        found.append((node, certain))
        if isinstance(node, _SIMPLE):
            continue
        if isinstance(node, (ast.With, ast.AsyncWith)):
            found += statements(node.body, certain)
        elif isinstance(node, ast.Try):
            found += statements([*node.body, *node.orelse, *node.finalbody], certain)
            for handler in node.handlers:
                found += statements(handler.body, False)
        elif isinstance(node, (ast.If, ast.For, ast.AsyncFor, ast.While)):
            once = certain and isinstance(node, ast.For) and _has_a_first(node.iter)
            found += statements(node.body, once)
            found += statements(node.orelse, False)
    return found


def _outside_notebooks(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """``body``, of which only the other branch stands for ``if is_running_in_colab(): …``."""
    for node in body:
        if isinstance(node, ast.If) and _is_notebook(node.test):
            yield from _outside_notebooks(node.orelse)
        elif isinstance(node, ast.Try) and any(
            isinstance(one, ast.Expr) and _is_notebook(one) for one in node.body
        ):
            yield from (inner for handler in node.handlers for inner in _outside_notebooks(handler.body))
        else:
            yield node


def _is_notebook(node: ast.AST) -> bool:
    names = (part.id if isinstance(part, ast.Name) else getattr(part, "attr", "") for part in all_parts(node))
    return any(_NOTEBOOK.search(name) for name in names if name)


def _has_a_first(values: ast.expr) -> bool:
    """``for check in [a, b]:`` goes through its body."""
    listed = values.elts if isinstance(values, (ast.List, ast.Tuple)) else []
    return any(not isinstance(one, ast.Starred) for one in listed)


def own_parts(statement: ast.stmt) -> tuple[ast.AST, ...]:
    """What belongs to this statement itself, not to those inside it."""
    # Each rule asks anew for those of every statement of a test: all but itself are kept with it.
    kept: list[ast.AST] | None = statement.__dict__.get("own_parts")
    if kept is None:
        kept = []
        todo: list[ast.AST] = [statement]
        while todo:
            node = todo.pop()
            kept.append(node)
            todo += [child for child in children(node) if not isinstance(child, (ast.stmt, ast.ExceptHandler))]
        del kept[0]
        statement.__dict__["own_parts"] = kept
    return (statement, *kept)


def children(node: ast.AST) -> list[ast.AST]:
    """What ``ast.iter_child_nodes`` gives, but for the contexts of names, which no rule looks at."""
    kept = node.__dict__
    known: list[ast.AST] | None = kept.get("children")
    if known is None:
        known = []
        for name in _with_nodes(node._fields):
            value = kept.get(name)
            if isinstance(value, ast.AST):
                known.append(value)
            elif isinstance(value, list):
                known += [one for one in value if isinstance(one, ast.AST)]
        kept["children"] = known
    return known


@cache
def _with_nodes(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in fields if name not in _PLAIN_FIELDS)


def all_parts(node: ast.AST) -> Iterator[ast.AST]:
    """The node and everything below it, from the outside in, as ``ast.walk`` gives it."""
    found = [node]
    for one in found:
        found += children(one)
        yield one
