"""A command as a line of a script, with what it needs around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from trainci.adopt.shell.script import Command
from trainci.adopt.shell.statements import IN_BACKGROUND
from trainci.adopt.tree import CLONED

# What a subshell would forget.
_IN_THIS_SHELL = {".", "source", "eval"}


def alone(command: Command) -> str:
    """The command with what it needs around it, as a line of a script: the next line runs at the root again."""
    line = command.raw
    if command.trouble == IN_BACKGROUND and "\n" not in line:
        line = f"{{ {line} & }}"  # which an `&&` may follow
    here = [loop for loop in command.loops if loop[2] == command.folder]
    for name, glob, _ in reversed(here):
        line = f"for {name} in {glob}; do {_ended(line, ';')} done"
    line = " && ".join([*lead(command), *filter(None, [command.within]), line])
    if command.folder or command.within:
        keeps = command.words[0] in _IN_THIS_SHELL
        line = f"{line} && cd - > /dev/null" if keeps else f"({_ended(line, '')})"
    for name, glob, _ in reversed([loop for loop in command.loops if loop not in here]):
        line = f"for {name} in {glob}; do {_ended(line, ';')} done"
    return line


def _ended(line: str, by: str) -> str:
    """What stands within brackets; a here-document ends on a line of its own."""
    return f"{line}\n" if "\n" in line else f"{line}{by}"


def lead(command: Command) -> Iterator[str]:
    """The shell commands that make what a command needs around it."""
    if command.folder:
        folder = _quoted(command.folder.removeprefix(CLONED))
        for name, glob, _ in command.loops:
            folder = folder.replace(f"'{glob}", f'"${name}"\'').removesuffix("''")
        yield f"cd {folder}"
    if command.python.endswith("/bin/python"):
        folder = command.python.removesuffix("/python")
        yield f'export PATH="{folder if folder.startswith("/") else f"$PWD/{folder}"}:$PATH"'
    set_here = (exported(name, value) for name, value in (*command.env, *command.local))
    yield from dict.fromkeys((*set_here, *(f"export {text}" for text in command.shell)))


def exported(name: str, value: str) -> str:
    """The command that gives a variable its value."""
    return f"export {name}={_quoted(value)}"


def with_globs(raw: str, loops: Iterable[tuple[str, str, str]]) -> str:
    """The command with the globs that a loop goes through in the place of its variable, which would be one word."""
    for name, value, _ in loops:
        raw = re.sub(rf"\"?\$(?:{name}\b|\{{{name}\}})\"?", lambda _: value, raw)  # noqa: B023
    return raw


def _quoted(value: str) -> str:
    if value.startswith("~/"):
        return f"~/{_quoted(value[2:])}" if value[2:] else value
    return value if re.fullmatch(r"[\w./:=,@%+-]+", value) else "'" + value.replace("'", "'\\''") + "'"
