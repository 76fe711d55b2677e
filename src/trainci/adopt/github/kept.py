"""What the steps of a job keep for those after them: variables, and scripts that they write."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainci.adopt.commands.unfold import is_shell
from trainci.adopt.placed import Text
from trainci.adopt.shell.script import Command
from trainci.adopt.tree import CLONED

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE_AT_END = re.compile(r"[A-Za-z_]\w*$")
# What GitHub reads before each step, and, as a script, what CircleCI does.
_VARIABLES, _SCRIPT = "GITHUB_ENV", "BASH_ENV"


@dataclass
class Kept:
    """``written`` are variables, ``made`` scripts by the names of their files.

    ``cloned`` are folders of other repositories, ``own`` those in which this one was taken.
    """

    written: dict[str, str] = field(default_factory=dict)
    made: dict[str, Text] = field(default_factory=dict)
    cloned: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)

    def inside(self, path: str) -> str:
        """The path as it is below the root of the repository that it is in; that of another one is marked."""
        plain = path.removeprefix("./")
        for folder in self.own:
            if f"{plain}/".startswith(f"{folder}/"):
                return plain[len(folder) + 1 :]
        return f"{CLONED}{plain}" if plain.split("/")[0] in self.cloned else path

    def keeps(self, command: Command) -> list[str] | None:
        """Whether it only keeps something, and the variables whose values only a run knows; else None."""
        file = command.redirected.strip("\"'${}")
        if file in (_VARIABLES, _SCRIPT):
            words = command.words[1:]
            return self._keep(
                [part for word in words for part in word.split()] if file == _SCRIPT else words, command
            )
        if command.words[:1] == ("echo",) and "\n" in command.words[-1] and command.redirected:
            self.made[_file_name(command.redirected)] = Text(command.words[-1], command.line)
        return None

    def _keep(self, words: Sequence[str], command: Command) -> list[str]:
        unknown: list[str] = []
        for name, is_set, value in (word.partition("=") for word in words):
            if is_set and _VARIABLE.fullmatch(name) and not command.open and "$" not in value:
                self.written[name] = value
            elif is_set and (named := _VARIABLE_AT_END.search(name)):
                unknown.append(named.group())
        return unknown

    def script_of(self, command: Command) -> Text | None:
        """The lines of the script that ``bash FILE`` runs, where a line before it wrote them into that file."""
        if len(command.words) != 2 or not is_shell(command.words[0]) or command.trouble:
            return None
        return self.made.pop(_file_name(command.words[1]), None)


def _file_name(word: str) -> str:
    """How a file is called whose folder only a run knows."""
    return posixpath.basename(word.strip("\"'"))
