"""Pure: which lines of a log may say something, and which patterns each of these may fit.

A log repeats itself: most of its lines differ in their numbers alone. So they are looked through by their shape,
which is all but their digits, and each shape once.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping, Sequence

_NO_DIGITS = {ord(digit): None for digit in "0123456789"}
# A word that says less without its digits is looked for as it is.
_SHORTEST = 4
_MOST_SHAPES = 1 << 15
_MOST_CHARACTERS = 1 << 22
_LETTERS = re.compile("[a-z]+")


class Triage:
    """Finds lines by texts in lower case that they hold.

    ``words`` maps each text to the numbers of the patterns that a line may fit if it holds that text.
    """

    def __init__(self, words: Mapping[str, Iterable[int]]) -> None:
        self._words: dict[str, set[int]] = {}
        self._numbers: dict[str, set[int]] = {}
        for word, patterns in words.items():
            shape = word.translate(_NO_DIGITS)
            told = len(shape) == len(word) or len(shape) >= _SHORTEST
            (self._words if told else self._numbers).setdefault(shape if told else word, set()).update(patterns)
        self._pieces = {word: _piece(word) for word in self._words}
        self._shapes: dict[str, tuple[int, ...] | None] = {}
        self._characters = 0

    def found(self, lines: Sequence[str]) -> dict[int, tuple[int, ...]]:
        """The places of those ``lines`` that hold a text, in order, each with its patterns."""
        text = "\n".join(line.replace("\n", " ") if "\n" in line else line for line in lines).lower()
        shapes = text.translate(_NO_DIGITS).split("\n")
        known = self._learned(set(shapes))
        held = {place: patterns for place, shape in enumerate(shapes) if (patterns := known[shape]) is not None}
        numbers = _places(text, {word: numbers for word, numbers in self._numbers.items() if word in text})
        for place, more in numbers.items():
            held[place] = tuple(sorted({*held.get(place, ()), *more}))
        return {place: held[place] for place in sorted(held)} if numbers else held

    def _learned(self, shapes: set[str]) -> Mapping[str, tuple[int, ...] | None]:
        """What each shape says, of ``shapes`` at least; those that were not seen before are looked through."""
        if len(self._shapes) > _MOST_SHAPES or self._characters > _MOST_CHARACTERS:
            self._shapes, self._characters = {}, 0
        known = self._shapes
        new = [shape for shape in shapes if shape not in known]
        if not new:
            return known
        text = "\n".join(new)
        self._characters += len(text)
        # The different words of a text are far less to look through than its lines.
        different = "\n".join(set(_LETTERS.findall(text)))
        present = {
            word: patterns
            for word, patterns in self._words.items()
            if (piece := self._pieces[word]) in (different if piece.isalpha() else text)
        }
        found = _places(text, present)
        for place, shape in enumerate(new):
            known[shape] = tuple(sorted(found[place])) if place in found else None
        return known


def _places(text: str, words: Mapping[str, Iterable[int]]) -> dict[int, set[int]]:
    """The lines of ``text`` that hold one of ``words``, each with what these map to."""
    found: dict[int, set[int]] = {}
    starts = [0, *(match.end() for match in re.finditer("\n", text))] if words else []
    for word, patterns in words.items():
        at = text.find(word)
        while at >= 0:
            place = bisect.bisect_right(starts, at) - 1
            found.setdefault(place, set()).update(patterns)
            at = text.find(word, starts[place + 1]) if place + 1 < len(starts) else -1
    return found


def _piece(word: str) -> str:
    """The longest run of letters in ``word``, or all of it where that says too little."""
    longest = max(_LETTERS.findall(word), key=len, default="")
    return longest if len(longest) > 2 else word
