"""Pure: what the names of a Python file mean, read from its syntax tree."""

from __future__ import annotations

import ast
from typing import TypeGuard


class Names:
    """The names of a file: what is imported under which, and its functions."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions = {
            node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        # What a name of the module is set to, where that is once and for all.
        self.constants = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        }
        self.imported: dict[str, str] = {}
        self.uses_exit_codes = False
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        self.silent_classes = {node.name for node in classes if _is_silent(node)}
        self.asserting = {*self.functions}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imported[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self.imported.update(
                    {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                )
            elif isinstance(node, ast.Attribute) and node.attr == "exitcode":
                self.uses_exit_codes = True
            elif _asserts(node):
                self.asserting.add(node.name)
        self.bases = {node.name: self.name(base) for node in classes for base in node.bases[:1]}

    def name(self, node: ast.expr) -> str:
        """``pytest.main`` for ``pt.main`` after ``import pytest as pt``; empty for what is no plain name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.imported.get(node.id, node.id), *reversed(parts)])


def _is_silent(node: ast.ClassDef) -> bool:
    """Whether its ``__exit__`` says that every failure is dealt with."""
    return any(
        isinstance(part, ast.Return) and isinstance(part.value, ast.Constant) and part.value.value is True
        for method in node.body
        if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and method.name in ("__exit__", "__aexit__")
        for part in ast.walk(method)
    )


def _asserts(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and any(isinstance(inner, ast.Assert) for inner in node.body)


def is_generator(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a call of it runs nothing by itself."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            todo += ast.iter_child_nodes(node)
    return False
