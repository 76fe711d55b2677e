"""Pure: what a test file does when it is run as a program, read from its syntax tree."""

from __future__ import annotations

import ast
from typing import TypeGuard

from trainci.catalog.names import Names
from trainci.catalog.scopes import reached
from trainci.catalog.statements import all_parts, own_parts, statements

_MAIN = "trainci.testing.main"
_SOMETHING_ELSE = "?"
_FRAMEWORKS = {
    "pytest.main": "pytest",
    "pytest.console_main": "pytest",
    "unittest.main": "unittest",
    "unittest.TestProgram": "unittest",
}


def main_blocks(tree: ast.Module) -> list[ast.If]:
    """Each ``if __name__ == "__main__":`` at the top level."""
    return [node for node in tree.body if _is_main_block(node)]


def as_block(tree: ast.Module) -> ast.If:
    """The statements of a program without such a block, as one that always runs."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    body = [node for node in tree.body if not isinstance(node, definitions)]
    return ast.If(test=ast.Constant(True), body=body or [ast.Pass(lineno=1)], orelse=[], lineno=1)


def framework(tree: ast.Module, names: Names) -> tuple[str, bool]:
    """``pytest`` or ``unittest``, where one call of it is how the file runs its tests; whether it certainly is."""
    found = [name for part in all_parts(tree) if (name := _framework(part, names))]
    if len(found) != 1:
        return "", False
    certain = any(
        _framework(part, names)
        for block in main_blocks(tree)
        for scope in reached(block, names)
        for statement, certain in statements(scope.body, scope.certain)
        if certain
        for part in own_parts(statement)
    )
    return found[0], certain


def called_frameworks(block: ast.If, names: Names) -> list[str]:
    """The framework of each call of one that ``block`` reaches."""
    return [
        name
        for scope in reached(block, names)
        for statement, _ in statements(scope.body, scope.certain)
        for part in own_parts(statement)
        if (name := _framework(part, names))
    ]


def _framework(part: ast.AST, names: Names) -> str:
    return _FRAMEWORKS.get(names.name(part.func), "") if isinstance(part, ast.Call) else ""


def is_phased(tree: ast.Module) -> bool:
    """Is one call of ``trainci.testing.main``, under whatever name, all that the file does as a program?

    Imports may stand before it; anything else would run once for each phase.
    """
    blocks = main_blocks(tree)
    if len(blocks) != 1 or blocks[0].orelse:
        return False
    *before, call = blocks[0].body
    if not all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in before):
        return False
    if not isinstance(call, ast.Expr) or not isinstance(call.value, ast.Call):
        return False
    name, dot, rest = ast.unparse(call.value.func).partition(".")
    meanings = [meaning for node in (*tree.body, *before) if (meaning := _bound(node, name))]
    return bool(meanings) and f"{meanings[-1]}{dot}{rest}" == _MAIN


def _is_main_block(node: ast.stmt) -> TypeGuard[ast.If]:
    if not isinstance(node, ast.If):
        return False
    for part in ast.walk(node.test):
        if isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], ast.Eq):
            sides = (part.left, part.comparators[0])
            names = {side.id for side in sides if isinstance(side, ast.Name)}
            values = {side.value for side in sides if isinstance(side, ast.Constant)}
            if names == {"__name__"} and values == {"__main__"}:
                return True
    return False


def _bound(node: ast.stmt, name: str) -> str:
    """What a top-level statement makes of ``name``: what is imported as it, something else, or "" (nothing)."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname == name:
                return alias.name
            if alias.asname is None and alias.name.partition(".")[0] == name:
                return name
        return ""
    if isinstance(node, ast.ImportFrom):
        imported = [alias.name for alias in node.names if (alias.asname or alias.name) == name]
        return f"{'.' * node.level}{node.module}.{imported[-1]}" if imported else ""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return _SOMETHING_ELSE if node.name == name else ""
    stored = (part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))
    return _SOMETHING_ELSE if name in stored else ""
