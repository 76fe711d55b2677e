"""Pure: failures that a program finds by itself, and of which nothing comes but a line of output."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence, Set

from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names
from trainci.catalog.python.says import is_idle
from trainci.catalog.statements import all_parts, statements

_FAILURE = re.compile(
    r"\b(?:FAIL(?:ED|URE|S)?|fail(?:ed|ure|s)?|Failed|FAILURE|mis-?match(?:ed|es)?|diverge[sd]?|wrong|incorrect|[Nn]a[Nn])\b"
    r"|\b(?:is|are|was|not) (?:nan|inf|equal|close|finite|correct)\b|[\u274c\u2717\u2718]"
)
_ASKS = (
    "all",
    "any",
    "len",
    "abs",
    "min",
    "max",
    "sum",
    "isnan",
    "isinf",
    "isfinite",
    "isclose",
    "allclose",
    "equal",
)


def only_told(body: Sequence[ast.stmt], used: Set[str], file: Names) -> Iterator[LostResult]:
    """``if loss != loss: print("FAILED")``, where nothing else looks at what it asks for (``used``)."""
    caught = {
        id(part)
        for statement, _ in statements(list(body), True)
        if isinstance(statement, ast.Try)
        for handler in statement.handlers
        for part in all_parts(handler)
    }
    for statement, _ in statements(list(body), True):
        if not isinstance(statement, ast.If) or statement.orelse or id(statement) in caught:
            continue
        calls = (part.func for part in all_parts(statement.test) if isinstance(part, ast.Call))
        if not all(file.name(of).rpartition(".")[2] in _ASKS for of in calls):
            continue  # what it runs may be a test, of which another rule speaks
        asked = {part.id for part in all_parts(statement.test) if isinstance(part, ast.Name)}
        if asked and not asked & used and all(is_idle(one, file) for one in statement.body) and _tells(statement):
            what = "a failure is only told here"
            yield LostResult(statement.lineno, what, "Raise, or assert that it is not so.", certain=False)


def _tells(statement: ast.If) -> bool:
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, str) and _FAILURE.search(part.value)
        for inner in statement.body
        for part in all_parts(inner)
    )
