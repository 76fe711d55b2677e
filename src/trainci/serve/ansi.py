"""Pure: a line with a terminal's colours (SGR, ECMA-48) as HTML, with classes and no style of its own."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from markupsafe import Markup

from trainci.output.line import STYLE
from trainci.text import printable

_COLORS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
# The first 16 of 256 colours have names, then comes a cube of 6 by 6 by 6, then 24 greys.
_NAMED, _GREYS = 16, 232


def colored(line: str) -> Markup:
    """``line`` with its colours. Whatever else is in it is text, and what cannot be printed is escaped."""
    parts, state, end = [], _State(), 0
    for found in STYLE.finditer(line):
        parts.append(_span(line[end : found.start()], state))
        state.obey(found.group()[2:-1])
        end = found.end()
    return Markup("".join([*parts, _span(line[end:], state)]))


def _span(text: str, state: _State) -> str:
    shown = escape("\t".join(map(printable, text.split("\t"))))
    classes = " ".join(state.classes())
    return f'<span class="{classes}">{shown}</span>' if shown and classes else shown


class _State:
    """The colours and styles that hold from here on."""

    def __init__(self) -> None:
        self._styles: set[str] = set()
        self._ink = self._paper = ""

    def classes(self) -> list[str]:
        colors = {"ink": self._ink, "paper": self._paper}
        return [*sorted(self._styles), *(f"{where}-{color}" for where, color in colors.items() if color)]

    def obey(self, parameters: str) -> None:
        codes = iter([int(part) if part.isdecimal() and len(part) < 4 else 0 for part in _parts(parameters)])
        for code in codes:
            self._obey(code, codes)

    def _obey(self, code: int, rest: Iterator[int]) -> None:
        tens, color = divmod(code, 10)
        match code:
            case 0:
                self._styles, self._ink, self._paper = set(), "", ""
            case 1 | 2 | 3 | 4:
                self._styles.add(("bold", "dim", "italic", "underlined")[code - 1])
            case 22:
                self._styles -= {"bold", "dim"}
            case 23 | 24:
                self._styles.discard("italic" if code == 23 else "underlined")
            case 38:
                self._ink = _extended(rest)
            case 48:
                self._paper = _extended(rest)
            case 39:
                self._ink = ""
            case 49:
                self._paper = ""
            case _ if tens in (3, 9) and color < 8:
                self._ink = _COLORS[color]
            case _ if tens in (4, 10) and color < 8:
                self._paper = _COLORS[color]


def _parts(parameters: str) -> list[str]:
    return parameters.replace(":", ";").split(";")


def _extended(rest: Iterator[int]) -> str:
    """One of 256 colours, or red, green and blue, as the nearest that has a name."""
    kind = next(rest, 0)
    if kind == 2:
        return _nearest(next(rest, 0), next(rest, 0), next(rest, 0))
    number = next(rest, 0) if kind == 5 else 0
    if number < _NAMED:
        return _COLORS[number % 8]
    if number >= _GREYS:
        return "white"
    cube = number - _NAMED
    return _nearest(cube // 36 * 51, cube // 6 % 6 * 51, cube % 6 * 51)


def _nearest(red: int, green: int, blue: int) -> str:
    most = max(red, green, blue, 1)
    return _COLORS[(2 * red > most) + 2 * (2 * green > most) + 4 * (2 * blue > most)]
