"""Pure: one line of a terminal, and where in it the cursor is."""

from __future__ import annotations

import re

# A colour or another style (SGR): all that a line keeps of what a program says to its terminal.
STYLE = re.compile("\x1b\\[[0-9;:]*m")


class Line:
    """One line, and where in it the cursor is. Parts are joined only when somebody looks, or overwrites."""

    __slots__ = ("_parts", "_styled", "column", "length")

    def __init__(self, text: str = "") -> None:
        self._parts = [text]
        self._styled = False
        self.column = self.length = len(text)

    def text(self) -> str:
        """As it looks now; trailing blanks are nothing to look at."""
        text = "".join(self._parts)
        return text + "\x1b[0m" if self._styled else text.rstrip(" ")

    def write(self, text: str) -> None:
        """Put ``text`` at the cursor, over whatever is there."""
        if self.column == self.length:
            self._parts.append(text)
        else:
            there = self._unstyled().ljust(self.column)
            self._parts = [there[: self.column], text, there[self.column + len(text) :]]
        self.column += len(text)
        self.length = max(self.length, self.column)

    def style(self, sequence: str) -> None:
        """A colour from here on, where nothing was overwritten."""
        if self.column == self.length:
            self._parts.append(sequence)
            self._styled = True

    def erase(self, how: int) -> None:
        """To the end (0), from the beginning (1), or all (2)."""
        there = self._unstyled()
        kept = {
            0: there[: self.column],
            1: " " * min(len(there), self.column + 1) + there[self.column + 1 :],
            2: "",
        }
        self._parts = [kept.get(how, there)]
        self.length = len(self._parts[0])
        if self.column > self.length:
            self._parts.append(" " * (self.column - self.length))
            self.length = self.column

    def _unstyled(self) -> str:
        text = "".join(self._parts)
        if self._styled:
            self._styled = False
            text = STYLE.sub("", text)
        return text
