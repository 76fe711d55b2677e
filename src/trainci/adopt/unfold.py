"""The commands that a command stands for: a script within it, a rule of make's, an environment of tox's."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from trainci.adopt import nox, tox
from trainci.adopt.makefile import recipe
from trainci.adopt.shell import Command, commands
from trainci.adopt.tree import Tree

_SHELLS = {"bash", "sh"}
_EXEC_VALUES = {"-e", "--env", "-u", "--user", "-w", "--workdir", "--env-file", "-f", "--file", "-p", "--profile"}
_MOST_DEPTH = 3


def unfolded(command: Command, known: Mapping[str, str], tree: Tree, depth: int = 0) -> Iterator[Command]:
    """The commands of it, where they can be told, else itself. ``known`` is the environment that it gets."""
    inner = None if command.trouble or depth == _MOST_DEPTH else _inner(command.words, tree)
    if inner is None:
        yield command
        return
    script, folder = inner
    where = tree.within(folder) if folder else command.folder
    for one in commands(script, command.line, {**known, **dict(command.env)}, where):
        own = replace(one, env=tuple({**dict(command.env), **dict(one.env)}.items()), line=command.line)
        yield from unfolded(replace(own, python=one.python or command.python), known, tree, depth + 1)


def shell_script(words: Sequence[str]) -> str:
    """The script of ``bash -eux -o pipefail -c SCRIPT``, "" for another command."""
    if not words or words[0].rpartition("/")[2] not in _SHELLS:
        return ""
    for at, word in enumerate(words[1:-1], 1):
        if word.startswith("-") and not word.startswith("--") and word.endswith("c"):
            return words[at + 1]
        if not word.startswith(("-", "+")) and words[at - 1] not in ("-o", "+o"):
            return ""
    return ""


def _inner(words: tuple[str, ...], tree: Tree) -> tuple[str, str] | None:
    """A script, and the folder that it is for, "" for the command's own."""
    if script := shell_script(words):
        return script, ""
    if words[:2] == ("docker", "exec") or words[:1] == ("docker-compose",) or words[:2] == ("docker", "compose"):
        return _in_container(words)
    program, rest = words[:1], words[1:]
    script = ""
    if program == ("make",):
        script = recipe(tree.read("Makefile"), rest)
    elif program == ("tox",):
        script = tox.script(tree, rest)
    elif program == ("nox",):
        script = nox.script(tree, rest)
    return (script, "") if script else None


def _in_container(words: tuple[str, ...]) -> tuple[str, str] | None:
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
    return (exports + (shell_script(rest) or shlex.join(rest)), folder) if rest else None
