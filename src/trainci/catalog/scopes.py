"""Pure: what runs when a file's ``__main__`` block does: the block, and the functions of the file that it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from trainci.catalog.names import Names, parameters
from trainci.catalog.statements import own_parts, statements


@dataclass
class Scope:
    """Statements that run one after another, and whether they certainly do; ``prepares``: they are a fixture's.

    ``own`` are the names that they are given: the parameters of their function.
    """

    body: list[ast.stmt]
    certain: bool
    is_block: bool = False
    prepares: bool = False
    own: frozenset[str] = frozenset()


def scope_of(function: ast.FunctionDef | ast.AsyncFunctionDef, *, certain: bool, prepares: bool = False) -> Scope:
    """What a call of ``function`` runs."""
    return Scope(function.body, certain, prepares=prepares, own=parameters(function))


def reached(block: ast.If, file: Names) -> Iterator[Scope]:
    """The block, and each function of the file that it calls or hands on, directly or through others."""
    scopes = [Scope(block.body, certain=True, is_block=True)]
    certainly: dict[str, bool] = {}
    while scopes:
        scope = scopes.pop()
        yield scope
        for statement, certain in statements(scope.body, scope.certain):
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                scopes.append(scope_of(statement, certain=False))
            for part in own_parts(statement):
                called = file.functions.get(file.name(part)) if isinstance(part, ast.Name) else None
                if isinstance(part, ast.Name) and part.id in file.classes and part.id not in certainly:
                    certainly[part.id] = False
                    scopes += _methods(file.classes[part.id])
                if called is not None and (called.name not in certainly or certain > certainly[called.name]):
                    certainly[called.name] = certain
                    scopes += [scope_of(called, certain=certain), *_around(called, file)]


def _methods(node: ast.ClassDef) -> list[Scope]:
    """What an object of the file's own class may run. Tests of a framework's are read by themselves."""
    if any(ast.unparse(base).endswith("TestCase") for base in node.bases):
        return []
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [scope_of(method, certain=False) for method in node.body if isinstance(method, functions)]


def _around(called: ast.FunctionDef | ast.AsyncFunctionDef, file: Names) -> list[Scope]:
    """What the decorators of a function, where the file holds them, put around it."""
    names = (file.name(node.func if isinstance(node, ast.Call) else node) for node in called.decorator_list)
    made = (file.functions[name] for name in names if name in file.functions)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [scope_of(node, certain=False) for one in made for node in ast.walk(one) if isinstance(node, functions)]
