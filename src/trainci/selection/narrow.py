"""Pure: which of the tests that were selected stay: those that match an expression (``-k``), those that failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace

from trainci.errors import UsageError
from trainci.model.selection import Selection
from trainci.model.tests import as_id
from trainci.text import printable

Keep = Callable[[str], bool]

_DEEPEST = 100
_WORD = re.compile(r"\s*([()]|[^\s()]+)")


def narrowed(selection: Selection, keep: Keep, note: str) -> Selection:
    """The tests, and those that are refused, whose id ``keep`` accepts; ``note`` where none is left."""
    tests = tuple(selected for selected in selection.tests if keep(selected.test.id))
    refused = tuple(one for one in selection.refused if keep(one.test_id))
    return replace(selection, tests=tests, refused=refused, note="" if tests or refused else note)


def one_of(ids: Collection[str]) -> Keep:
    """Keeps these ids."""
    return lambda test_id: test_id in ids


def matching(expression: str) -> Keep:
    """Keeps the ids that an expression matches: parts of ids, with ``and``, ``or``, ``not`` and ``()``.

    As pytest's ``-k``, it takes upper and lower case for the same.

    :raises UsageError: it is no such expression.
    """
    words = _WORD.findall(expression)
    if not words:
        raise UsageError("-k: it is empty; write a part of an id, as in -k 'ckpt and not slow'.")
    if words.count("(") > _DEEPEST:
        raise UsageError(f"-k: more than {_DEEPEST} parentheses; write it shorter.")
    reader = _Reader(expression, words)
    keep = reader.alternatives()
    if reader.rest:
        raise reader.error(f"{printable(reader.rest[0])!r} comes where `and` or `or` was to come")
    return keep


class _Reader:
    """Reads an expression, word by word: each method what stands in ``rest`` first."""

    def __init__(self, expression: str, words: list[str]) -> None:
        self._expression = expression
        self.rest = words

    def error(self, why: str) -> UsageError:
        return UsageError(f"-k {printable(self._expression)!r}: {why}.")

    def alternatives(self) -> Keep:
        keeps = [self._all_of()]
        while self.rest[:1] == ["or"]:
            del self.rest[0]
            keeps.append(self._all_of())
        return lambda test_id: any(keep(test_id) for keep in keeps)

    def _all_of(self) -> Keep:
        keeps = [self._one()]
        while self.rest[:1] == ["and"]:
            del self.rest[0]
            keeps.append(self._one())
        return lambda test_id: all(keep(test_id) for keep in keeps)

    def _one(self) -> Keep:
        inverted = False
        while self.rest[:1] == ["not"]:
            del self.rest[0]
            inverted = not inverted
        word = self.rest.pop(0) if self.rest else ""
        if word in ("", "and", "or", ")"):
            raise self.error("a part of an id is missing " + (f"before {word!r}" if word else "at its end"))
        keep = self._inside() if word == "(" else _has(word)
        return (lambda test_id: not keep(test_id)) if inverted else keep

    def _inside(self) -> Keep:
        keep = self.alternatives()
        if self.rest[:1] != [")"]:
            raise self.error("a ')' is missing")
        del self.rest[0]
        return keep


def _has(word: str) -> Keep:
    forms = (word.casefold(), as_id(word).casefold())
    return lambda test_id: any(form in test_id.casefold() for form in forms)
