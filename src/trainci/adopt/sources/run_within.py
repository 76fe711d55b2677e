"""The tests that registered scripts and commands run: read of their lines as those of a CI are."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from trainci.adopt.commands.called_tests import is_test_file, speaks_of_tests
from trainci.adopt.commands.entries import read_command
from trainci.adopt.commands.unfold import unfolded
from trainci.adopt.proposal import Place
from trainci.adopt.pytest_config import test_paths
from trainci.adopt.shell.launchers import without_launcher
from trainci.adopt.shell.script import Command, commands
from trainci.adopt.tools.filling import TooLong
from trainci.adopt.tools.makefile import made_by
from trainci.adopt.tree import Tree
from trainci.globs import is_glob
from trainci.model.project import Project

# Far more than one script comes to.
_MOST_COMMANDS = 2_000
_MOST_SCRIPTS = 500
_RUNS_NOTHING = ("echo", "printf", "rm", "cp", "mv", "cat", "ls", "git", "chmod")


def run_within(project: Project, tree: Tree) -> frozenset[str]:
    """The files and folders of tests that a script or a command of an entry runs, as far as it can be told."""
    parts = [part for entry in project.registered_entries for part in (entry, *entry.steps)]
    waiting = [shlex.join(part.command) for part in parts if part.command]
    waiting += [tree.read(part.file) for part in parts if part.file.endswith(".sh")]
    defaults, seen = test_paths(tree), set(waiting)
    found: set[str] = set()
    while waiting and len(seen) < _MOST_SCRIPTS:
        for command in islice(_commands(waiting.pop(), tree), _MOST_COMMANDS):
            paths = set(_paths(command, tree, defaults))
            found |= paths
            scripts = {tree.read(path) for path in paths if path.endswith(".sh")} - seen
            waiting += scripts
            seen |= scripts
    return frozenset(found)


def _commands(script: str, tree: Tree) -> Iterator[Command]:
    for command in commands(script, 1):
        for one in unfolded(command, {}, tree):
            yield one
            if one.words[:1] == ("make",) and (made := _made_roughly(one, tree)):
                yield from (inner for line in commands(made, 1) for inner in unfolded(line, {}, tree))


def _made_roughly(command: Command, tree: Tree) -> str:
    """What ``make`` runs, as far as it can be told; not in a folder of its own."""
    try:
        folder, script = made_by(tree, command.folder, command.words[1:], {}, roughly=True)
    except TooLong:
        return ""
    return script if folder == command.folder else ""


def _paths(command: Command, tree: Tree, defaults: Sequence[str]) -> Iterator[str]:
    if not command.trouble:
        # What only a run knows may be an option: without it, the command is known to run what it runs by default.
        known = tuple(word for word in command.words if "$" not in word)
        plain = replace(command, words=without_launcher(known)[0], open=(), shell=())
        for entry in read_command(plain, "", Place("", 1), tree, defaults, begun=False).entries:
            yield from tree.globbed(entry.path) if is_glob(entry.path) else filter(None, (entry.path,))
    runs_tests = speaks_of_tests(command.raw)
    for word in command.words if command.words[:1] and command.words[0] not in _RUNS_NOTHING else ():
        path = posixpath.normpath(posixpath.join(command.folder, word.partition("::")[0]))
        if is_glob(path):  # a pattern of `case` is one, too: `*`
            yield from filter(is_test_file, tree.globbed(path))
        elif tree.is_file(path) or (runs_tests and tree.is_folder(path)):
            yield path
