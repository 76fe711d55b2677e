"""The recipe of a Makefile's rule, for a CI that runs ``make test``."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MOST = 20


def recipe(makefile: str, goals: Sequence[str]) -> str:
    """The shell lines of the goals, "" when a goal is no plain rule or a line holds a variable of make's."""
    lines: list[str] = []
    for goal in goals[:_MOST]:
        match = re.search(rf"^{re.escape(goal)}\s*:(?!=)[^\n=]*\n((?:\t[^\n]*(?:\n|$))+)", makefile, re.MULTILINE)
        if match is None:
            return ""
        lines += [line[1:].lstrip("@-") for line in match.group(1).splitlines()]
    text = "\n".join(lines)
    return "" if re.search(r"(?<!\$)\$[({]", text) else text.replace("$$", "$")
