"""Pure: which lines of a log may say something, and which patterns each of these may fit.

A log repeats itself: most of its lines differ in their numbers alone. So they are looked through by their shape, in
which each number is a 0, and each shape once.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

_NO_DIGITS = {ord(digit): None for digit in "0123456789"}
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
# A word that says less in its shape is looked for as it is.
_SHORTEST = 2
_MOST_SHAPES = 1 << 15
_MOST_CHARACTERS = 1 << 22
_LETTERS = re.compile("[a-z]+")

Patterns: TypeAlias = tuple[int, ...]


def shape_of(text: str) -> str:
    """``text``, which is in lower case, with a 0 in place of each number."""
    data = text.encode("utf-8", "surrogatepass").translate(_ZEROS)
    while b"00" in data:
        data = data.replace(b"000000", b"0").replace(b"00", b"0")
    return data.decode("utf-8", "surrogatepass")


class Triage:
    """Finds lines by ``words``, texts in lower case that they hold.

    ``says`` tells which patterns a line of a shape may fit that holds these words, None where it need not be read.
    Words are told to it by their shape, and a number as it is.
    """

    def __init__(self, words: Iterable[str], says: Callable[[str, frozenset[str]], Patterns | None]) -> None:
        every = set(words)
        self._numbers = {word for word in every if is_number(word)}
        self._pieces = {word: _piece(word) for word in map(shape_of, every - self._numbers)}
        self._says = says
        # What each shape says, and the words that it holds.
        self._shapes: dict[str, tuple[Patterns | None, frozenset[str]]] = {}
        self._numbered: dict[tuple[str, frozenset[str]], Patterns | None] = {}
        self._characters = 0

    def found(self, lines: Sequence[str]) -> dict[int, Patterns]:
        """The places of those ``lines`` that are to be read, in order, each with its patterns."""
        text = "\n".join(line.replace("\n", " ") if "\n" in line else line for line in lines).lower()
        shapes = shape_of(text).split("\n")
        known = self._learned(set(shapes))
        held = {place: patterns for place, shape in enumerate(shapes) if (patterns := known[shape][0]) is not None}
        numbers = _places(text, [word for word in self._numbers if word in text])
        for place, more in numbers.items():
            if (patterns := self._with_numbers(shapes[place], frozenset(more))) is not None:
                held[place] = patterns
        return {place: held[place] for place in sorted(held)} if numbers else held

    def _with_numbers(self, shape: str, numbers: frozenset[str]) -> Patterns | None:
        if (key := (shape, numbers)) not in self._numbered:
            self._numbered[key] = self._says(shape, self._shapes[shape][1] | numbers)
            self._characters += len(shape)
        return self._numbered[key]

    def _learned(self, shapes: set[str]) -> Mapping[str, tuple[Patterns | None, frozenset[str]]]:
        """What each shape says, of ``shapes`` at least; those that were not seen before are looked through."""
        if len(self._shapes) > _MOST_SHAPES or self._characters > _MOST_CHARACTERS:
            self._shapes, self._numbered, self._characters = {}, {}, 0
        known = self._shapes
        new = [shape for shape in shapes if shape not in known]
        if not new:
            return known
        text = "\n".join(new)
        self._characters += len(text)
        # The different words of a text are far less to look through than its lines.
        different = "\n".join(set(_LETTERS.findall(text)))
        pieces = self._pieces.items()
        found = _places(text, [word for word, piece in pieces if piece in (different if piece.isalpha() else text)])
        nothing: frozenset[str] = frozenset()
        for place, shape in enumerate(new):
            words = found.get(place)
            known[shape] = (self._says(shape, frozenset(words)), frozenset(words)) if words else (None, nothing)
        return known


def is_number(word: str) -> bool:
    """Whether ``word`` says less in its shape, so that it is looked for as it is."""
    return word != shape_of(word) and len(word.translate(_NO_DIGITS).strip()) < _SHORTEST


def _places(text: str, words: Sequence[str]) -> dict[int, set[str]]:
    """The lines of ``text`` that hold one of ``words``, each with these."""
    found: dict[int, set[str]] = {}
    starts = [0, *(match.end() for match in re.finditer("\n", text))] if words else []
    for word in words:
        at = text.find(word)
        while at >= 0:
            place = bisect.bisect_right(starts, at) - 1
            found.setdefault(place, set()).add(word)
            at = text.find(word, starts[place + 1]) if place + 1 < len(starts) else -1
    return found


def _piece(word: str) -> str:
    """The longest run of letters in ``word``, or all of it where that says too little."""
    longest = max(_LETTERS.findall(word), key=len, default="")
    return longest if len(longest) > 2 else word
