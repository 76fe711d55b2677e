"""The recipe of a Makefile's rule, for a CI that runs ``make test``, and the goals that test."""

from __future__ import annotations

import re
from functools import lru_cache

from trainci.adopt.filling import filled

_MOST = 20
_SET = re.compile(r"^([A-Za-z_]\w*)[ \t]*(\?=|::?=|=)[ \t]*([^\n#]*)", re.MULTILINE)
_USED = re.compile(r"(?<!\$)\$(?:\((\w+)\)|\{(\w+)\})")


@lru_cache(maxsize=256)
def recipe(makefile: str, goals: tuple[str, ...]) -> str:
    """The shell lines of the goals, "" when a goal is no plain rule or a line holds what only make works out.

    :raises TooLong: the variables that they name grow.
    """
    given = dict(goal.split("=", 1) for goal in goals if "=" in goal)
    known = {name: value.strip() for name, _, value in _SET.findall(makefile)} | given
    lines: list[str] = []
    for goal in [goal for goal in goals if "=" not in goal][:_MOST]:
        match = re.search(rf"^{re.escape(goal)}\s*:(?!=)[^\n=]*\n((?:\t[^\n]*(?:\n|$))+)", makefile, re.MULTILINE)
        if match is None:
            return ""
        lines += [line[1:].lstrip("@-") for line in match.group(1).splitlines()]
    text = "\n".join(lines)
    for _ in range(3):  # a variable may name another
        text = filled(_USED, lambda match: known.get(match.group(1) or match.group(2), match.group()), text)
    return "" if re.search(r"(?<!\$)\$[({]", text) else text.replace("$$", "$")


def test_goals(makefile: str) -> list[str]:
    """The goals that are called after tests."""
    found = re.findall(r"^(tests?(?:[-_][\w-]+)?|[\w-]+[-_]tests?)\s*:(?!=)", makefile, re.MULTILINE)
    return list(dict.fromkeys(found))[:_MOST]
