"""A part of a log, as lines to be shown or as bytes; the whole of it is never in memory."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from trainci.output.screen import Screen
from trainci.reports import read_log
from trainci.serve.ansi import colored

SHOWN = 1 << 16
"""How many bytes of a log are on one page."""
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


@dataclass(frozen=True)
class Part:
    """The lines that begin in bytes ``start`` to ``end`` of a log of ``size``."""

    lines: tuple[Markup, ...]
    start: int
    end: int
    size: int


def size_of(log: Path) -> int | None:
    """Its bytes; None where there is no log, or a test put something else there."""
    try:
        found = log.lstat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def part(log: Path, size: int, start: int | None) -> Part:
    """What begins at byte ``start``, or the end of the log; its last line is whole where that fits on a page."""
    begin = max(0, size - SHOWN) if start is None else min(start, size)
    data = b"".join(pieces(log, begin, min(size, begin + SHOWN)))
    first = data.find(b"\n") + 1
    if start is None and begin and first < len(data):
        # The end of a log begins with a whole line, too.
        begin, data = begin + first, data[first:]
    end = begin + len(data)
    last = data.rfind(b"\n") + 1
    if end < size and last:
        end, data = begin + last, data[:last]
    screen = Screen(colors=True)
    lines = screen.feed(data) + screen.finish()
    return Part(tuple(map(colored, lines)), begin, end, size)


def pieces(log: Path, start: int, end: int) -> Iterator[bytes]:
    """Its bytes from ``start`` up to ``end``, a little at a time."""
    left = end - start
    for data in read_log(log, start):
        if left <= 0:
            return
        yield data[:left]
        left -= len(data)


def byte_range(wanted: str | None, size: int) -> tuple[int, int] | None:
    """What a ``Range`` header asks for, as the first byte and the one after the last (RFC 9110, 14.2).

    None where it asks for nothing, or for several ranges, which a server may answer with the whole. Where nothing
    of it is there the two are the same.
    """
    found = _RANGE.fullmatch(wanted or "")
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    start, end = int(first), min(size, int(last) + 1) if last else size
    if last and int(last) < start:
        return None
    return (start, end) if start < size else (size, size)
