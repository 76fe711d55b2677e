"""A finished Run, rendered. Reports are made from the Run and the logs, and never stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainci.host.files import open_plain
from trainci.model.diagnosis import Diagnosis
from trainci.model.run import Item, Result
from trainci.output.screen import Screen, is_unseen

_CHUNK = 1 << 16
# What is read of the end of a log at first, and at most, to find lines in it.
_WINDOW = 1 << 14
_LARGEST_WINDOW = 1 << 22
# A program repaints no more lines than a terminal has.
_SCREEN_LINES = 50
# Behind so much of which nothing is left to see nobody looks for lines.
_MOST_UNSEEN = 1 << 18
_MOST_AFTER = 20_000
_AFTER_EVIDENCE = 2
_LONGEST_LINE = 2000


def last_lines(log: Path, count: int) -> list[str]:
    """The last ``count`` lines of a log that are not blank, as a terminal would show them in the end, uncoloured.

    Fewer where they are not within its last 4 MiB; none when there is no log. One of thousands of characters is cut
    and says so.
    """
    return list(map(_cut, _last_lines(log, count)))


def _cut(line: str) -> str:
    left = len(line) - _LONGEST_LINE
    return line if left <= 0 else f"{line[:_LONGEST_LINE]}… {left:,} more characters"


def _last_lines(log: Path, count: int) -> list[str]:
    window = _WINDOW
    while True:
        lines, whole = _lines_of_end(log, window)
        if whole or len(lines) > count or window >= _LARGEST_WINDOW:
            return lines[-count:]
        window *= 4


def telling_lines(log: Path, diagnosis: Diagnosis | None, count: int) -> list[str]:
    """Up to ``count`` lines of a log that tell why: its last ones, or those around the evidence.

    A launcher's report and what ends after a failure may be longer than what anybody reads; what led to the
    evidence is above it. A line that begins with ``…`` counts those that are left out below.
    """
    evidence = diagnosis.evidence if diagnosis and diagnosis.line else ""
    lines = _last_lines(log, _MOST_AFTER) if evidence else last_lines(log, count)
    # What began in one line and went on in the next is one in the evidence.
    begins = (evidence, evidence.partition(": ")[0]) if evidence else ()
    found = ([place for place, line in enumerate(lines) if begin in line] for begin in begins)
    places = next(filter(None, found), [])
    if not places or len(lines) - places[0] <= count:
        return list(map(_cut, lines[-count:]))
    # Of several ranks that say the same the first counts.
    end = min(len(lines), places[0] + 1 + _AFTER_EVIDENCE)
    left = len(lines) - end
    return [*map(_cut, lines[max(0, end - count + 1) : end]), f"… {left:,} more lines"]


def _lines_of_end(log: Path, window: int) -> tuple[list[str], bool]:
    """The lines of the last ``window`` bytes of a log, and whether no more are to be looked for before them."""
    size = _size(log)
    data = b"".join(read_log(log, max(0, size - window)))[:window]
    whole = size <= window
    if window <= _MOST_UNSEEN and is_unseen(data):
        return [], whole or window == _MOST_UNSEEN
    # To move up takes an escape; where there is none, nothing need be held back, which is a lot faster.
    screen = Screen(held=_SCREEN_LINES if b"\x1b" in data or b"\xc2\x9b" in data else 0)
    lines = screen.feed(data) + screen.finish()
    # The first may have begun before the window.
    return [line for line in (lines if whole or len(lines) < 2 else lines[1:]) if line.strip()], whole


def read_log(log: Path, start: int = 0) -> Iterator[bytes]:
    """A log in pieces, from byte ``start``; nothing when it is gone, or when a test put something else there."""
    try:
        with open_plain(log) as file:
            file.seek(start)
            while data := file.read(_CHUNK):
                yield data
    except OSError:
        return


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def items_of(result: Result, most: int) -> tuple[tuple[Item, ...], int]:
    """Up to ``most`` items of the last attempt, those first that did not pass; and how many more did not."""
    last = result.attempts[-1].results if result.attempts else None
    items = last.items if last else ()
    if len(items) > most:
        items = tuple(sorted(items, key=lambda item: item.outcome == "passed"))
    return items[:most], sum(item.outcome != "passed" for item in items[most:])
