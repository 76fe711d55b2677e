"""Pure: functions that return how it went instead of raising."""

from __future__ import annotations

import ast

from trainci.catalog.statements import statements


def returns_how_it_went(function: ast.FunctionDef | ast.AsyncFunctionDef | None) -> bool:
    """Whether a function says by constants that all is well here, and that it is not there."""
    values: set[object] = set()
    assigned = (
        {
            target.id: statement.value
            for statement, _ in statements(function.body, True)
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
        if function
        else {}
    )
    for statement, _ in statements(function.body, True) if function else ():
        value = statement.value if isinstance(statement, ast.Return) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, int):
            values.add(bool(value.value))
        elif _is_verdict(value) or (isinstance(value, ast.Name) and _is_verdict(assigned.get(value.id))):
            return True
    return len(values) > 1


def _is_verdict(value: ast.expr | None) -> bool:
    """``a == b``, ``all(…)``."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in ("all", "any")
    return isinstance(value, ast.Compare)
