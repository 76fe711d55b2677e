"""Pure: what tells a task runner its recipes, as a Makefile would: a justfile, a tox.ini, a noxfile.py, a tasks.py.

just(1): a ``-`` before a line ignores its failure, as in make. So does one before a command of tox's
(https://tox.wiki, commands), and ``ignore_outcome`` for all of an environment's. nox counts other exit codes as
good by ``success_codes`` (https://nox.thea.codes, Session.run), invoke any by ``warn`` (https://docs.pyinvoke.org,
Runner.run).
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Iterator, Set

JUST = ("justfile", "Justfile", ".justfile")
TOX = ("tox.ini",)
NOX = ("noxfile.py",)
INVOKE = ("tasks.py",)
_RECIPE = re.compile(r"@?(?P<name>[A-Za-z_][\w-]*)(?: [^:\n]*)?:(?!=)(?P<needs>.*)$")
_SECTION = re.compile(r"\[([^\]]+)\]")
_COMMANDS = re.compile(r"commands\s*=(.*)")
_IGNORES = re.compile(r"ignore_outcome\s*=\s*(?:[Tt]rue|1)\b")


def of_just(text: str) -> str:
    """A justfile's text, with each line at its place."""
    return "\n".join(map(_line_of_just, text.split("\n")))


def _line_of_just(line: str) -> str:
    if line[:1] in (" ", "\t"):
        return f"\t{line.strip()}" if line.strip() else ""
    found = _RECIPE.match(line)
    if found is None:
        return ""
    # A recipe that it needs may be given arguments, in brackets.
    needs = re.findall(r"[A-Za-z_][\w-]*", re.sub(r"\(\s*([\w-]+)[^)]*\)", r"\1", found["needs"]))
    return f"{found['name']}: {' '.join(needs)}"


def of_tox(text: str) -> str:
    """A tox.ini's environments as targets, with each line at its place."""
    lines = list(_with_targets(text))
    ignored = {target for line, target in lines if _IGNORES.match(line)}
    return "\n".join(_lines_of_tox(lines, ignored))


def _with_targets(text: str) -> Iterator[tuple[str, str]]:
    """Each line with the environment in whose section it stands; empty for none."""
    target = ""
    for line in text.split("\n"):
        if section := _SECTION.match(line):
            kind, _, own = section[1].strip().partition(":")
            target = (own or kind) if kind == "testenv" else ""
        yield line, target


def _lines_of_tox(lines: Iterable[tuple[str, str]], ignored: Set[str]) -> Iterator[str]:
    in_commands = False
    for line, target in lines:
        said = line.strip()
        if line[:1] not in (" ", "\t"):
            commands = _COMMANDS.match(line)
            in_commands = bool(commands and target) or (in_commands and not said)
            said = commands[1].strip() if commands else ""
        if target and _SECTION.match(line):
            yield f"{target}:"
        elif in_commands and said and not said.startswith("#"):
            yield f"\t{'-' if target in ignored else ''}{said}"
        else:
            yield ""


def of_functions(text: str) -> str:
    """The functions of a noxfile.py or a tasks.py as targets, with each command that one runs at its place.

    :raises SyntaxError, ValueError, RecursionError, MemoryError: it is no Python.
    """
    lines = [""] * (text.count("\n") + 2)
    for node in ast.parse(text).body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or not node.decorator_list:
            continue
        lines[node.lineno] = f"{' '.join(dict.fromkeys((node.name, node.name.replace('_', '-'))))}:"
        dropped = {id(part.value) for part in ast.walk(node) if isinstance(part, ast.Expr)}
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and call.lineno > node.lineno and (words := _run_by(call)):
                lines[call.lineno] = f"\t{'-' if _ignores(call, id(call) in dropped) else ''}{words}"
    return "\n".join(lines[1:])


def _run_by(call: ast.Call) -> str:
    """The command of ``session.run("pytest", "x")``, of ``c.run("pytest x")``."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "run":
        return ""
    words = [word.value for word in call.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    line = words[0] if len(call.args) == 1 and words else " ".join(map(shlex.quote, words))
    return line.replace("\n", " ")


def _ignores(call: ast.Call, dropped: bool) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    codes = given.get("success_codes")
    if isinstance(codes, (ast.List, ast.Tuple, ast.Set)):
        return any(not isinstance(code, ast.Constant) or code.value for code in codes.elts)
    warn = given.get("warn")
    return dropped and isinstance(warn, ast.Constant) and warn.value is True
