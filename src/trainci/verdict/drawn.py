"""Pure: tracebacks as rich and IPython draw them, line for line as Python prints one.

Formats: rich's ``traceback.py`` (a box, each place ``FILE:LINE in NAME``), with a box of ASCII where there is no
other; IPython's ``ultratb.py`` (the type before the header, ``File FILE:LINE, in NAME`` or ``Cell In[1], line 1``).
"""

from __future__ import annotations

import re

HEADER = "Traceback (most recent call last):"
_BOX = re.compile(r"[╭┌+][─-]{2,} Traceback \(most recent call last\) [─-]{2,}[╮┐+]$")
_BOX_END = re.compile(r"[╰└+][─-]{4,}[╯┘+]$")
_IN_BOX = re.compile(r"[│|] (?P<text>.*?)\s*[│|]$")
_PLACE = re.compile(r"(?P<file>/\S.*|[\w.~][^│|]*\.py):(?P<line>\d{1,9}) in \S")
_TYPE = re.compile(r"(?P<type>[A-Za-z_][\w.]*) {2,}Traceback \(most recent call last\)$")
_FILE = re.compile(r"File (?P<file>.+):(?P<line>\d{1,9})(?:, in .*)?$")
_CELL = re.compile(r"Cell (?P<file>In\s?\[\d+\]), line (?P<line>\d{1,9})")
_NOTHING = "    "
_MOST_LINES = 5000


class Drawn:
    """Follows one stream."""

    def __init__(self) -> None:
        self._boxed = False
        self._type = ""
        self._left = 0

    def plain(self, text: str) -> str:
        """``text`` as Python would print it; what Python would not print is an empty line of the traceback."""
        if _BOX.match(text.strip()):
            self._boxed, self._left = True, _MOST_LINES
            return HEADER
        if header := _TYPE.match(text):
            self._type, self._left = header["type"], _MOST_LINES
            return HEADER
        if not self._left:
            return text
        self._left -= 1
        return self._in_box(text) if self._boxed else self._of_ipython(text)

    def _in_box(self, text: str) -> str:
        inner = _IN_BOX.match(text.strip())
        if inner:
            return _as_python(_PLACE.match(inner["text"]))
        # Its end, or something else that was printed in the middle.
        self._boxed, self._left = False, 0
        return _NOTHING if _BOX_END.match(text.strip()) else text

    def _of_ipython(self, text: str) -> str:
        if text == self._type or text.startswith(f"{self._type}:"):
            self._left = 0
            return text
        return _as_python(_FILE.match(text) or _CELL.match(text))


def _as_python(place: re.Match[str] | None) -> str:
    return f'  File "{place["file"]}", line {place["line"]}' if place else _NOTHING
