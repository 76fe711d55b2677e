"""Pure: failures that a program finds by itself, and of which nothing comes but a line of output."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence, Set

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
        if isinstance(statement, ast.For) and _tells_of_each(statement, used, file):
            yield _told(statement)
        if not isinstance(statement, ast.If) or id(statement) in caught:
            continue
        inner = (*statement.body, *statement.orelse)
        calls = (part.func for part in all_parts(statement.test) if isinstance(part, ast.Call))
        if not all(file.name(of).rpartition(".")[2] in _ASKS for of in calls):
            continue  # what it runs may be a test, of which another rule speaks
        asked = {part.id for part in all_parts(statement.test) if isinstance(part, ast.Name)}
        if asked and not asked & used and all(is_idle(one, file) for one in inner) and _tells(inner):
            yield _told(statement)


def _told(statement: ast.stmt) -> LostResult:
    what = "a failure is only told here"
    return LostResult(statement.lineno, what, "Raise, or assert that it is not so.", certain=False)


def _tells_of_each(loop: ast.For, used: Set[str], file: Names) -> bool:
    """``for name, good in found.items(): print("PASS" if good else "FAIL")``, of what nobody else looks at."""
    words = [part for inner in loop.body for part in all_parts(inner) if isinstance(part, ast.IfExp)]
    names = {part.id for part in all_parts(loop.iter) if isinstance(part, ast.Name)}
    unused = bool(names) and not names & used
    return unused and all(is_idle(one, file) for one in loop.body) and _tells(words)


def _tells(nodes: Iterable[ast.AST]) -> bool:
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, str) and _FAILURE.search(part.value)
        for node in nodes
        for part in all_parts(node)
    )
