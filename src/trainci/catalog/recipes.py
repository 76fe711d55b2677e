"""Pure: what tells a task runner its recipes, as a Makefile would: a justfile, a tox.ini.

just(1): a ``-`` before a line ignores its failure, as in make. So does one before a command of tox's
(https://tox.wiki, commands), and ``ignore_outcome`` for all of an environment's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

JUST = ("justfile", "Justfile", ".justfile")
TOX = ("tox.ini",)
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
    return "\n".join(_lines_of_tox(text, _ignored(text)))


def _lines_of_tox(text: str, ignored: frozenset[str]) -> Iterator[str]:
    target, in_commands = "", False
    for line in text.split("\n"):
        section = commands = None
        said = line.strip()
        if line[:1] not in (" ", "\t"):
            section, commands = _SECTION.match(line), _COMMANDS.match(line)
            target = _target(section) if section else target
            in_commands = bool(commands and target) or (in_commands and not said)
            said = commands[1].strip() if commands else ""
        if section and target:
            yield f"{target}:"
        elif in_commands and said and not said.startswith("#"):
            yield f"\t{'-' if target in ignored else ''}{said}"
        else:
            yield ""


def _ignored(text: str) -> frozenset[str]:
    """The environments whose outcome is ignored."""
    found, target = set(), ""
    for line in text.split("\n"):
        section = _SECTION.match(line)
        target = _target(section) if section else target
        found |= {target} if _IGNORES.match(line) else set()
    return frozenset(found)


def _target(section: re.Match[str]) -> str:
    kind, _, own = section[1].strip().partition(":")
    return (own or kind) if kind == "testenv" else ""
