"""Where each key and each array element of a TOML document stands: the line numbers that parsers do not keep.

The document must be valid (``tomllib`` has read it); the scanner only follows its layout. ``quoted`` writes a text.
Grammar: https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r]+ | \#[^\n]*)
    | (?P<newline>\n)
    | (?P<string>\"\"\"(?:\\.|[^\\])*?\"\"\"+ | '''.*?'''+ | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
    | (?P<mark>[\[\]{},=.])
    | (?P<bare>[^\s\[\]{},=."'\#]+)
    """,
    re.VERBOSE | re.DOTALL,
)


def toml_lines(source: str) -> dict[Path, int]:
    """Map each path, such as ``("suites", "ckpt", "tests", 1, "path")``, to its line, counted from 1."""
    return _Scanner(source).lines


def nearest_line(lines: Mapping[Path, int], path: Path) -> int:
    """The line of ``path``, or of the nearest thing around it that the document writes; 1 where there is none."""
    return next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), 1)


class _Scanner:
    def __init__(self, source: str) -> None:
        self.lines: dict[Path, int] = {}
        self._array_lengths: dict[Path, int] = {}
        self._tokens = list(_tokenize(source))
        self._next = 0
        self._document()

    def _peek(self) -> str:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    def _take(self) -> tuple[str, int]:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _skip_newlines(self) -> None:
        while self._peek() == "\n":
            self._next += 1

    def _document(self) -> None:
        table: Path = ()
        self._skip_newlines()
        while self._peek():
            table = self._header() if self._peek() == "[" else self._pair(table, table)
            self._skip_newlines()

    def _header(self) -> Path:
        _, line = self._take()
        is_array = self._peek() == "["
        if is_array:
            self._take()
        path = self._resolve(self._key())
        self._take()
        if is_array:
            self._take()
            index = self._array_lengths.get(path, 0)
            self._array_lengths[path] = index + 1
            self.lines.setdefault(path, line)
            path = (*path, index)
        self._record((), path, line)
        return path

    def _resolve(self, key: tuple[str, ...]) -> Path:
        """The path of a header, with the current element's index put after each array of tables."""
        path: Path = ()
        for position, part in enumerate(key):
            path = (*path, part)
            if position < len(key) - 1 and path in self._array_lengths:
                path = (*path, self._array_lengths[path] - 1)
        return path

    def _key(self) -> tuple[str, ...]:
        parts = [_unquote(self._take()[0])]
        while self._peek() == ".":
            self._take()
            parts.append(_unquote(self._take()[0]))
        return tuple(parts)

    def _pair(self, table: Path, result: Path) -> Path:
        line = self._tokens[self._next][1]
        path = (*table, *self._key())
        self._record(table, path, line)
        self._take()
        self._value(path)
        return result

    def _value(self, path: Path) -> None:
        if self._peek() == "[":
            self._array(path)
        elif self._peek() == "{":
            self._inline_table(path)
        else:
            while self._peek() not in ("", "\n", ",", "]", "}"):
                self._take()

    def _array(self, path: Path) -> None:
        self._take()
        index = 0
        self._skip_newlines()
        while self._peek() != "]":
            element = (*path, index)
            self.lines[element] = self._tokens[self._next][1]
            self._value(element)
            index += 1
            self._skip_commas()
        self._take()

    def _inline_table(self, path: Path) -> None:
        self._take()
        self._skip_newlines()
        while self._peek() != "}":
            self._pair(path, path)
            self._skip_commas()
        self._take()

    def _skip_commas(self) -> None:
        self._skip_newlines()
        if self._peek() == ",":
            self._take()
        self._skip_newlines()

    def _record(self, table: Path, path: Path, line: int) -> None:
        for length in range(len(table) + 1, len(path) + 1):
            self.lines.setdefault(path[:length], line)


def _tokenize(source: str) -> Iterator[tuple[str, int]]:
    line = 1
    for match in _TOKEN.finditer(source):
        if match.lastgroup != "space":
            yield match.group(), line
        line += match.group().count("\n")


def _unquote(key: str) -> str:
    if key.startswith("'"):
        return key[1:-1]
    if key.startswith('"'):
        return _ESCAPE.sub(_unescape, key[1:-1])
    return key


_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_SIMPLE_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def _unescape(match: re.Match[str]) -> str:
    short, long, simple = match.groups()
    if simple is not None:
        return _SIMPLE_ESCAPES.get(simple, simple)
    return chr(int(short or long, 16))


_WRITTEN_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quoted(text: str) -> str:
    """A basic string of TOML. Half a surrogate pair, which no file can hold, becomes the replacement character."""
    return '"' + "".join(map(_written, text)) + '"'


def _written(ch: str) -> str:
    if ch in _WRITTEN_ESCAPES:
        return _WRITTEN_ESCAPES[ch]
    if "\ud800" <= ch <= "\udfff":
        return "\ufffd"
    return ch if ch >= " " and ch != "\x7f" else f"\\u{ord(ch):04X}"
