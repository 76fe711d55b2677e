from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from trainci.toml_lines import toml_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NOISE = ["", " ", "\t", "  # ] } \" ''' = [x]", "# é \u2028"]
_BREAKS = ["", "\n", '\n\n  # a ] comment, with """ quotes\n', " "]


class _Writer:
    """Writes a document in which each key and each value holds a mark of its own (``q12q``), so that the line
    of one cannot be mistaken for the line of another."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._numbers = itertools.count()

    def document(self) -> str:
        lines = self.pairs()
        for _ in range(self._pick(range(4))):
            lines += getattr(self, self._pick(["table", "array_of_tables"]))()
        return self._pick(["\n", "\r\n"]).join(lines)

    def table(self, prefix: str = "") -> list[str]:
        return [f"{self._indent()}[{prefix}{self._key()}]{self._noise()}", *self.pairs()]

    def array_of_tables(self) -> list[str]:
        key, lines = self._key(), []
        for _ in range(self._pick(range(1, 4))):
            lines += [f"[[{key}]]{self._noise()}", *self.pairs()]
            if self._pick([True, False]):
                lines += self.table(prefix=f"{key}.")
            if self._pick([True, False]):
                inner = f"{key}.{self._mark()}"
                for _ in range(2):
                    lines += [f"[[ {inner} ]]", *self.pairs()]
        return lines

    def pairs(self) -> list[str]:
        lines = []
        for _ in range(self._pick(range(3))):
            lines += [self._pick(_NOISE), f"{self._indent()}{self._key()} = {self._value(2)}{self._noise()}"]
        return lines

    def _value(self, depth: int) -> str:
        kinds = ["number", "string", "other"] + ["array", "inline"] * (depth > 0)
        return str(getattr(self, f"_{self._pick(kinds)}")(depth))

    def _number(self, _: int) -> str:
        return str(1_000_000 + next(self._numbers))

    def _string(self, _: int) -> str:
        mark = self._mark()
        return self._pick(
            [
                f'"{mark}"',
                f"'{mark} \"[#'",
                f'"{mark} \\" ] # \\\\"',
                f'"""{mark}\n]\n = " "" \\""" # \\\\"""',
                f"'''{mark}\n'' \"\"\" [x] = '''",
                f'"""{mark}\n"""""',
                f"'''{mark}''''",
            ]
        )

    def _other(self, _: int) -> str:
        return self._pick(
            ["true", "1.5e3", "1979-05-27 07:32:00Z", "0xbeef", "-inf", '""', "''", '""""""', "''''''"]
        )

    def _array(self, depth: int) -> str:
        items = [self._value(depth - 1) for _ in range(self._pick(range(4)))]
        text = "".join(f"{self._pick(_BREAKS)}{item}{self._pick(_BREAKS)}," for item in items)
        return f"[{text if self._pick([True, False]) else text.rstrip(',')}{self._pick(_BREAKS)}]"

    def _inline(self, depth: int) -> str:
        items = [f"{self._key()} = {self._value(depth - 1)}" for _ in range(self._pick(range(3)))]
        return "{" + ", ".join(items) + "}"

    def _key(self) -> str:
        parts = [self._one_key() for _ in range(self._pick([1, 1, 2, 3]))]
        return self._pick([".", " . "]).join(parts)

    def _one_key(self) -> str:
        mark = self._mark()
        return self._pick([mark, f"-{mark}_", f'"{mark} #=[]."', f"'{mark}.]\"'", f'"\\u0041{mark}\\t\\""'])

    def _mark(self) -> str:
        return f"q{next(self._numbers)}q"

    def _noise(self) -> str:
        return self._pick(_NOISE)

    def _indent(self) -> str:
        return self._pick(["", "  ", "\t"])

    def _pick(self, choices: Any) -> Any:
        return self._draw(st.sampled_from(choices))


@st.composite
def _documents(draw: st.DrawFn) -> str:
    return _Writer(draw).document()


def _walk(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key), inner
        yield from _walk(inner, (*path, key))


@settings(max_examples=examples(120))
@given(_documents())
def test_every_key_and_element_has_the_line_that_it_is_written_on(source: str) -> None:
    parsed = tomllib.loads(source)
    found, lines = toml_lines(source), source.split("\n")
    for path, value in _walk(parsed):
        line = lines[found[path] - 1]
        if isinstance(path[-1], str):
            mark = re.search(r"q\d+q", path[-1])
            assert mark and mark.group() in line
        elif isinstance(value, dict):
            assert "{" in line or "[[" in line
        elif isinstance(value, list):
            assert "[" in line
        elif isinstance(value, int) and value >= 1_000_000:
            assert str(value) in line
        elif isinstance(value, str) and value:
            assert value.split("\n")[0].split(" ")[0] in line


@settings(max_examples=examples(40))
@given(_documents())
def test_nothing_has_a_line_that_the_document_does_not_hold(source: str) -> None:
    assert set(toml_lines(source)) == {path for path, _ in _walk(tomllib.loads(source))}


def test_the_elements_of_an_array_of_tables_have_the_lines_of_their_headers() -> None:
    source = "[[a]]\nx = 1\n[[a]]\nx = 2\n[a.b]\ny = 3\n[[a.c]]\n[[a.c]]\nz = [\n 1,\n [2,\n  3],\n]\n"
    assert toml_lines(source) == {
        ("a",): 1,
        ("a", 0): 1,
        ("a", 0, "x"): 2,
        ("a", 1): 3,
        ("a", 1, "x"): 4,
        ("a", 1, "b"): 5,
        ("a", 1, "b", "y"): 6,
        ("a", 1, "c"): 7,
        ("a", 1, "c", 0): 7,
        ("a", 1, "c", 1): 8,
        ("a", 1, "c", 1, "z"): 9,
        ("a", 1, "c", 1, "z", 0): 10,
        ("a", 1, "c", 1, "z", 1): 11,
        ("a", 1, "c", 1, "z", 1, 0): 11,
        ("a", 1, "c", 1, "z", 1, 1): 12,
    }
