"""The commands that a command stands for: a script within it, a rule of make's, a script that the project names."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from trainci.adopt.shell.launchers import without_launcher
from trainci.adopt.shell.script import Command, commands
from trainci.adopt.tools import nox, tox
from trainci.adopt.tools.filling import TooLong
from trainci.adopt.tools.makefile import made_by
from trainci.adopt.tools.project_scripts import hatch_test, project_script
from trainci.adopt.tree import Tree

_SHELLS = {"bash", "sh"}
# fmt: off
_EXEC_VALUES = {
    "-e", "--env", "-u", "--user", "-w", "--workdir", "--env-file", "-f", "--file", "-p", "--profile",
    "-v", "--volume", "--name", "--entrypoint", "--publish", "-l", "--label",
}
# fmt: on
_MOST_DEPTH = 3


def unfolded(command: Command, known: Mapping[str, str], tree: Tree, depth: int = 0) -> Iterator[Command]:
    """The commands of it, where they can be told, else itself. ``known`` is the environment that it gets."""
    is_read = command.words and not command.trouble and depth < _MOST_DEPTH
    inner = _inner(command, {**known, **dict(command.env)}, tree) if is_read else None
    if inner is None:
        yield command
        return
    where = tree.within(inner.folder) if inner.folder else command.folder
    for one in commands(inner.script, command.line, {**known, **dict(command.env)}, where):
        own = replace(one, env=tuple({**dict(command.env), **dict(one.env)}.items()), line=command.line)
        python = one.python or inner.python or command.python
        yield from unfolded(replace(own, python=python), known, tree, depth + 1)


def is_shell(program: str) -> bool:
    """Whether it is a shell, wherever that is."""
    return program.rpartition("/")[2] in _SHELLS


def shell_script(words: Sequence[str]) -> str:
    """The script of ``bash -eux -o pipefail -c SCRIPT``, "" for another command."""
    if not words or not is_shell(words[0]):
        return ""
    for at, word in enumerate(words[1:-1], 1):
        if word.startswith("-") and not word.startswith("--") and word.endswith("c"):
            return words[at + 1]
        if not word.startswith(("-", "+")) and words[at - 1] not in ("-o", "+o"):
            return ""
    return ""


@dataclass(frozen=True)
class _Inner:
    """A script, the folder that it is for, "" for the command's own, and the launcher of its python."""

    script: str
    folder: str = ""
    python: str = ""


def _inner(command: Command, environment: Mapping[str, str], tree: Tree) -> _Inner | None:
    words = command.words
    rest, python = without_launcher(words)
    if script := shell_script(words if python else rest):
        return _Inner(script)
    if words[:2] == ("docker", "exec") or words[:1] == ("docker-compose",) or words[:2] == ("docker", "compose"):
        return _in_container(words)
    try:
        if rest[:1] == ("make",):
            folder, script = made_by(tree, command.folder, rest[1:], environment)
            return _Inner(script, folder, python) if script else None
        script = _named_script(words, rest, tree)
    except TooLong:
        return None  # left to its tool
    return _Inner(script, python=python) if script else None


def _named_script(words: tuple[str, ...], rest: tuple[str, ...], tree: Tree) -> str:
    """The script that a tool runs by its name; ``rest`` are the words behind what starts the tool."""
    tool, program, arguments = words[0], "".join(rest[:1]), rest[1:]
    if words[:2] == ("hatch", "test"):
        return hatch_test(tree, words[2:])
    if tool in ("pdm", "rye", "pixi", "hatch") and (script := project_script(tree, tool, rest)):
        return script
    if program == "tox":
        return tox.script(tree, arguments)
    if program == "nox":
        return nox.script(tree, arguments)
    return project_script(tree, program, arguments) if program in ("poe", "just") else ""


def _in_container(words: tuple[str, ...]) -> _Inner | None:
    """What is run in a container that is there already, and where."""
    verb = next((at for at, word in enumerate(words) if word in ("exec", "run")), None)
    if verb is None:
        return None
    exports = ""
    folder, at = "", verb + 1
    while at < len(words) and words[at].startswith("-"):
        if words[at] in ("-w", "--workdir"):
            folder = "".join(words[at + 1 : at + 2])
        elif words[at] in ("-e", "--env") and "=" in (given := "".join(words[at + 1 : at + 2])):
            exports += f"export {shlex.quote(given)}\n"
        at += 2 if words[at] in _EXEC_VALUES else 1
    rest = words[at + 1 :]
    return _Inner(exports + (shell_script(rest) or shlex.join(rest)), folder) if rest else None
