"""Which framework a file of the repository hands tests to, for a program that calls a function of it."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator
from pathlib import Path

from trainci.catalog.declarations import parse
from trainci.catalog.main_block import as_block, called_frameworks, main_blocks
from trainci.catalog.names import Names
from trainci.catalog.scopes import reached
from trainci.catalog.source import read_source
from trainci.catalog.statements import own_parts, statements

_MOST_HELPERS = 20


def framework_of_helpers(root: Path, file: str, tree: ast.Module, names: Names) -> str:
    """``pytest`` or ``unittest``, where one call of it in what the ``__main__`` block calls runs the tests."""
    called = (helper for block in main_blocks(tree) for helper in _called(block, names))
    found: list[str] = []
    for helper in list(dict.fromkeys(called))[:_MOST_HELPERS]:
        module, _, function = helper.rpartition(".")
        found += _in_function(root, (posixpath.dirname(file), ""), module, function)
    return found[0] if len(found) == 1 else ""


def _called(block: ast.If, names: Names) -> Iterator[str]:
    for scope in reached(block, names):
        for statement, _ in statements(scope.body, scope.certain):
            for part in own_parts(statement):
                if isinstance(part, ast.Call) and "." in (name := names.name(part.func)):
                    yield name


def _in_function(root: Path, folders: tuple[str, ...], module: str, function: str) -> list[str]:
    for folder in folders:
        try:
            tree = parse(read_source(root, posixpath.join(folder, f"{module.replace('.', '/')}.py")))
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        names = Names(tree)
        body = names.functions[function].body if function in names.functions else []
        return called_frameworks(as_block(ast.Module(body, [])), names)
    return []
