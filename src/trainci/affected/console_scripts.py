"""Pure: the commands that a project installs or has recipes for, and which of them a text starts.

https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Set

# As pyproject.toml, setup.cfg and setup.py write it: the name of a command, and the function that it calls.
_ENTRY_POINT = re.compile(r"(?<![\w.-])([\w.-]{1,200})[\"']?[ \t]*=[ \t]*[\"']?([\w.]{1,1000}):[^\W\d]")
# Which file tells a program what to run, and the names of that program.
RECIPES = {
    **dict.fromkeys(("Makefile", "makefile", "GNUmakefile"), ("make", "gmake")),
    **dict.fromkeys(("justfile", "Justfile"), ("just",)),
    "tox.ini": ("tox",),
    "noxfile.py": ("nox",),
}
# "make sure that …" is no command, and stands in many a text.
RUNNERS = frozenset(program for programs in RECIPES.values() for program in programs)
_SEGMENT = re.compile(r"(?:&&|\|\||[;|&\n`()])+")
_ASSIGNMENT = re.compile(r"\w+=\S*")
# What may stand before a command: words of a shell's grammar, and keys of settings.
_BEFORE = frozenset(
    {"if", "then", "else", "elif", "do", "while", "until", "!", "$", "{"} | {"run:", "command:", "cmd:", "script:"}
)
# What starts the command that is named somewhere behind it.
_WRAPPERS = frozenset(
    {"conda", "coverage", "docker", "env", "exec", "hatch", "mpirun", "nohup", "nsys", "pdm", "pipenv", "pixi"}
    | {"poetry", "rye", "srun", "sudo", "time", "timeout", "torchrun", "uv", "uvx", "xvfb-run"}
)


def installed(source: str) -> Iterator[tuple[str, str]]:
    """Each command that a project file gives a name, with the module that it starts."""
    yield from _ENTRY_POINT.findall(source)


def started(text: str, commands: Set[str]) -> Iterator[str]:
    """Which of ``commands`` a shell would start that is given ``text``."""
    if not any(command in text for command in commands):
        return
    for segment in _SEGMENT.split(text.replace("\\\n", " ")):
        words = [word.strip("\"'") for word in segment.split()]
        while words and (words[0] in _BEFORE or _ASSIGNMENT.fullmatch(words[0])):
            del words[0]
        is_wrapped = bool(words) and words[0] in _WRAPPERS
        for word in words[1:] if is_wrapped else words[:1]:
            if (name := posixpath.basename(word)) in commands:
                yield name
