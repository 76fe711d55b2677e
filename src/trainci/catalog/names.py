"""Pure: what the names of a Python file mean, read from its syntax tree."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Set
from copy import copy
from typing import TypeGuard, TypeVar

from trainci.catalog.statements import all_parts, children

_T = TypeVar("_T")
# Most of a tree, of which no name is learned.
_TELL_NOTHING = (ast.Name, ast.Constant, ast.Expr, ast.keyword)
_BUILTINS = frozenset(dir(builtins))


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
        # Every attribute that is looked at anywhere, and what is called.
        self.attributes: set[str] = set()
        self.called: set[str] = set()
        self.asserted: set[str] = set()
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        self.classes = {node.name: node for node in classes}
        aliases: dict[str, list[ast.expr | None]] = {}
        calls: list[ast.expr] = []
        self.silent_classes = {node.name for node in classes if _is_silent(node)}
        self.asserting = {*self.functions}
        for node in all_parts(tree):
            if isinstance(node, _TELL_NOTHING):
                continue
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imported[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self.imported.update(
                    {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                )
            elif isinstance(node, ast.Attribute):
                self.attributes |= set() if _is_log(node) else {node.attr}
            elif isinstance(node, ast.Call):
                calls.append(node.func)
                if isinstance(node.func, ast.Attribute) and node.func.attr.startswith("assert"):
                    self.asserted |= {
                        part.id for one in node.args for part in all_parts(one) if isinstance(part, ast.Name)
                    }
            elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                aliases.setdefault(node.targets[0].id, []).append(node.value)
            elif isinstance(node, ast.arg):
                aliases.setdefault(node.arg, []).append(None)
            elif isinstance(node, ast.Assert):
                self.asserted |= {part.id for part in all_parts(node.test) if isinstance(part, ast.Name)}
            elif _asserts(node):
                self.asserting.add(node.name)
        # `main = test`: another name for one thing, once and for all.
        self._aliases: dict[str, str] = {}
        for name, values in aliases.items():
            value = values[0]
            root = value
            while isinstance(root, ast.Attribute):
                root = root.value
            known = isinstance(root, ast.Name) and (root.id in self.imported or root.id in self.functions)
            if len(values) == 1 and value is not None and known and name not in self.functions:
                self._aliases[name] = self.name(value)
        self.called = {self.name(node) for node in calls}
        self.bases = {node.name: self.name(base) for node in classes for base in node.bases[:1]}

    def name(self, node: ast.expr) -> str:
        """``pytest.main`` for ``pt.main`` after ``import pytest as pt``; empty for what is no plain name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        first = self._aliases.get(node.id) or self.imported.get(node.id, node.id)
        return ".".join([first, *reversed(parts)])

    def hiding(self, names: Set[str]) -> Names:
        """Those of a function in which ``names`` are its own: parameters, such as a fixture's value, variables."""
        names -= self._aliases.keys()
        if names.isdisjoint({*self.functions, *self.classes, *self.constants, *self.imported}):
            return self
        inner = copy(self)
        inner.functions = _without(self.functions, names)
        inner.classes = _without(self.classes, names)
        inner.constants = _without(self.constants, names)
        inner.imported = _without(self.imported, names)
        return inner

    @property
    def uses_exit_codes(self) -> bool:
        """Whether it looks at how a process of its own ended."""
        return "exitcode" in self.attributes

    @property
    def counts_pending(self) -> bool:
        """Whether an assertion is about what `asyncio.wait` gave back."""
        return bool({"done", "pending"} & self.asserted)

    def own(self, node: ast.expr | None) -> bool:
        """Whether it is one of the file's functions, or what calls one later: a lambda, a ``partial``."""
        if isinstance(node, ast.Lambda):
            return any(isinstance(part, ast.Call) and self.own(part.func) for part in all_parts(node.body))
        if isinstance(node, ast.Call) and self.name(node.func) == "functools.partial":
            return self.own(node.args[0] if node.args else None)
        return node is not None and self.name(node) in self.functions

    def may_hold_function(self, node: ast.expr) -> bool:
        """Whether it is a local name, such as that of what a loop goes through, which may hold a function.

        What is called like a class, and is none of the file's, is made and not run.
        """
        if not isinstance(node, ast.Name):
            return False
        is_class = node.id[:1].isupper() and node.id[1:2].islower() and node.id not in self.classes
        return not is_class and not any(node.id in names for names in (self.functions, self.imported, _BUILTINS))


def _without(known: Mapping[str, _T], names: Set[str]) -> dict[str, _T]:
    return {name: value for name, value in known.items() if name not in names}


def _is_log(node: ast.Attribute) -> bool:
    """``logger.exception``, which asks nobody for one."""
    return node.attr == "exception" and "log" in ast.unparse(node.value).lower()


def _is_silent(node: ast.ClassDef) -> bool:
    """Whether its ``__exit__`` says that every failure is dealt with."""
    return any(
        isinstance(part, ast.Return) and isinstance(part.value, ast.Constant) and part.value.value is True
        for method in node.body
        if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and method.name in ("__exit__", "__aexit__")
        for part in all_parts(method)
    )


def _asserts(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and any(isinstance(inner, ast.Assert) for inner in node.body)


def asserts(node: ast.AST) -> bool:
    """Whether an assertion stands somewhere in it: ``assert``, ``self.assertEqual(…)``."""
    return any(
        isinstance(part, ast.Assert)
        or (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Attribute)
            and part.func.attr.startswith("assert")
        )
        for part in all_parts(node)
    )


def names_in(node: ast.AST) -> set[str]:
    """The names in it, each with its attributes: ``tasks``, ``self.tasks``."""
    return {ast.unparse(part) for part in all_parts(node) if isinstance(part, (ast.Name, ast.Attribute))}


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    """The names that it is given values by."""
    given = function.args
    every = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
    return frozenset(one.arg for one in every if one)


def is_generator(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a call of it runs nothing by itself."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            todo += children(node)
    return False
