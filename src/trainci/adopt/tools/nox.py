"""nox: what the sessions run that a CI names (``nox -s unit``), and all of them where no CI says more.

Format: https://nox.thea.codes/en/stable/config.html. The file is parsed, never imported.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from trainci.adopt.tree import Tree
from trainci.catalog.declarations import parse

_FILE = "noxfile.py"


@lru_cache(maxsize=1)
def sessions(tree: Tree) -> Mapping[str, str]:
    """For each session the shell lines of it, "" where a run decides what it starts."""
    try:
        module = parse(tree.read(_FILE))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    return {name: _script(node) for node in functions if (name := _name(node))}


def script(tree: Tree, words: Sequence[str]) -> str:
    """The shell lines of ``nox`` with these arguments, "" where they cannot be told."""
    known = sessions(tree)
    named: list[str] = []
    for at, word in enumerate(words):
        if word in ("-s", "--session", "--sessions", "-e"):
            following = words[at + 1 :]
            count = next((n for n, one in enumerate(following) if one.startswith("-")), len(following))
            named += following[:count]
    # `unit-3.12` and `unit(x=1)` are the session `unit` of one Python and one parameter.
    wanted = [re.sub(r"(-\d[\d.]*)?(\(.*\))?$", "", name) for name in named] or list(known)
    found = [known.get(name, "") for name in wanted]
    return "\n".join(found) if all(found) else ""


def _name(function: ast.FunctionDef) -> str:
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        target = ast.unparse(call.func if call else decorator)
        if target in ("nox.session", "session"):
            keywords = {keyword.arg: keyword.value for keyword in call.keywords} if call else {}
            given = keywords.get("name")
            return (
                given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else function.name
            )
    return ""


def _script(function: ast.FunctionDef) -> str:
    lines: list[str] = []
    for node in function.body:
        call = node.value if isinstance(node, ast.Expr) else None
        if isinstance(call, ast.Constant):
            continue  # its docstring
        target = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
        if not isinstance(call, ast.Call) or not target.startswith("session."):
            return ""
        words = list(_words(call))
        if None in words:
            return ""
        constants = [word for word in words if word is not None]
        if target in ("session.run", "session.run_always"):
            lines.append(" ".join([*_environment(call), shlex.join(constants)]))
        elif target == "session.install":
            lines.append(shlex.join(["pip", "install", *constants]))
        elif target == "session.chdir":
            lines.append(shlex.join(["cd", *constants]))
    return "\n".join(lines)


def _words(call: ast.Call) -> Iterator[str | None]:
    """The constant arguments; None for one that only a run knows. What somebody adds by hand is nobody's here."""
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value
        elif not (isinstance(argument, ast.Starred) and ast.unparse(argument.value) == "session.posargs"):
            yield None


def _environment(call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg == "env" and isinstance(keyword.value, ast.Dict):
            for key, value in zip(keyword.value.keys, keyword.value.values, strict=True):
                pair = [one.value for one in (key, value) if isinstance(one, ast.Constant)]
                if len(pair) == 2 and all(isinstance(text, str) for text in pair):
                    yield f"{pair[0]!s}={shlex.quote(str(pair[1]))}"
