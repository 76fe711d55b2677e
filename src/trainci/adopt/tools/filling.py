"""Placeholders of a tool's file, whose values name others and so may grow without end."""

from __future__ import annotations

import re
from collections.abc import Callable

# Far beyond what anybody writes into a file of a CI.
MOST_FILLED = 64 * 1024


class TooLong(Exception):
    """More than anybody writes, once it is filled in."""


def filled(placeholder: re.Pattern[str], value: Callable[[re.Match[str]], str], text: str) -> str:
    """``text`` with each placeholder replaced by its value.

    :raises TooLong: they are too long in all.
    """
    length = 0

    def counted(match: re.Match[str]) -> str:
        nonlocal length
        made = value(match)
        length += len(made)
        if length > MOST_FILLED:
            raise TooLong
        return made

    return placeholder.sub(counted, text)
