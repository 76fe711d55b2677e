"""Functions of the files that a script sources: what calls one needs the file, and may run tests by it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import lru_cache

from trainci.adopt.commands.called_tests import speaks_of_tests
from trainci.adopt.shell.lines import lead
from trainci.adopt.shell.script import Command
from trainci.adopt.tree import Tree

_FUNCTION = re.compile(r"^(?:function\s+)?([\w-]+)\s*(?:\(\s*\))?\s*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def with_source(command: Command, tree: Tree) -> str:
    """The command behind what makes the function that it calls, for a shell at the root; empty for another."""
    file, _ = _called(command, tree)
    before = lead(command) if file else ()
    return " && ".join([f"source {shlex.quote(file)}", *before, command.raw]) if file else ""


def runs_tests(command: Command, tree: Tree) -> bool:
    """Whether it calls a function that runs tests, directly or by others of its file."""
    file, name = _called(command, tree)
    functions = _functions(tree.read(file)) if file else {}
    seen, waiting = set[str](), [name]
    while waiting:
        body = functions.get(called := waiting.pop(), "")
        if speaks_of_tests(body):
            return True
        seen.add(called)
        waiting += (functions.keys() & set(re.findall(r"[\w-]+", body))) - seen
    return False


def _called(command: Command, tree: Tree) -> tuple[str, str]:
    """The file, and the function of it that one of the words of a command calls."""
    words = command.words if command.trouble else command.words[:1]
    for file in reversed(command.sourced if words else ()):
        functions = _functions(tree.read(file)) if tree.is_file(file) else {}
        for word in words:
            if word in functions:
                return file, word
    return "", ""


# A file is asked for each command that comes after it.
@lru_cache(maxsize=32)
def _functions(text: str) -> Mapping[str, str]:
    """The body of each function of a file."""
    return dict(_FUNCTION.findall(text))
