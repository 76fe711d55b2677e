"""Pure: what a line cannot be without if a pattern fits it, by which most lines are ruled out before any search."""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from trainci.verdict.triage import is_number, shape_of

Need: TypeAlias = "tuple[str | tuple[Need, ...] | re.Pattern[str], ...]"
"""Alternatives: a text, all of what is needed together, or what a line's shape must fit where no text is needed."""
# A group as long as this takes longer to search for twice than once by itself.
_LONG_GROUP = 60


def words_of(need: Need) -> tuple[str, ...]:
    """Texts of which what fits ``need`` holds one; none where nothing can be promised."""
    words = [
        (each,) if isinstance(each, str) else words_of(each[0]) for each in need if not isinstance(each, re.Pattern)
    ]
    return tuple(word for some in words for word in some)


def holds(need: Need, text: str) -> bool:
    """Whether ``text``, in lower case, holds one of the alternatives; what it was found by comes first."""
    for each in need:
        if isinstance(each, str):
            if each in text:
                return True
        elif isinstance(each, re.Pattern) or all(holds(more, text) for more in reversed(each)):
            return True
    return False


def every_word(need: Need) -> Iterator[str]:
    """All texts that ``need`` names."""
    for each in need:
        if isinstance(each, str):
            yield each
        elif isinstance(each, tuple):
            for more in each:
                yield from every_word(more)


Shaped: TypeAlias = "tuple[frozenset[str], tuple[tuple[Shaped, ...] | re.Pattern[str], ...]]"
"""The same of a shape: words, one of which will do, and other alternatives."""


def shaped(need: Need) -> Shaped:
    """``need`` as a line's shape shows it."""
    words = frozenset(shape_of(each) for each in need if isinstance(each, str))
    others = [
        each if isinstance(each, re.Pattern) else tuple(map(shaped, each))
        for each in need
        if not isinstance(each, str)
    ]
    return words, tuple(others)


def holds_in_shape(needed: Shaped, words: frozenset[str], shape: str) -> bool:
    """Whether ``words`` and their ``shape`` are enough."""
    if not words.isdisjoint(needed[0]):
        return True
    for each in needed[1]:
        if isinstance(each, re.Pattern):
            if _found(each, shape):
                return True
        elif all(holds_in_shape(more, words, shape) for more in each):
            return True
    return False


@functools.lru_cache(maxsize=64)
def _found(pattern: re.Pattern[str], shape: str) -> bool:
    """Many patterns have such a part in common."""
    return pattern.search(shape) is not None


@functools.cache
def needs_of(pattern: str) -> Need:
    """The texts in lower case that a line which ``pattern`` fits cannot be without; empty for no promise."""
    branches = [_needed_of_branch(branch) for branch in _split(pattern)]
    if not all(branch and words_of(branch[0]) for branch in branches):
        return ()
    return tuple(each for branch in branches for each in (branch[0] if len(branch) == 1 else (branch,)))


_CLASSES = frozenset("AbBdDsSwWZ0123456789")
# A character (of a class, escaped, or itself), a set, a group's beginning or end, a repetition, an alternative.
_TOKEN = re.compile(
    r"\\(.)|\[\^?\]?(?:\\.|[^\]])*\]|\((?:\?(?:[a-zA-Z]*:|[a-zA-Z]+\)|<?[=!]|P<\w+>))?|([?*+]|\{\d*,?\d*\})\??|(.)",
    re.S,
)
_MEMBER = re.compile("([A-Za-z0-9])(?:-([A-Za-z0-9]))?")
_SET = re.compile(rf"\[(?:{_MEMBER.pattern})+\]")
_MOST_TEXTS = 12
_OPTIONAL = ("?", "*", "{0", "{,")


def _split(pattern: str) -> list[list[re.Match[str]]]:
    """The alternatives of ``pattern``, as tokens."""
    branches: list[list[re.Match[str]]] = [[]]
    depth = 0
    for token in _TOKEN.finditer(pattern):
        depth += _opens(token)
        if token[0] == "|" and not depth:
            branches.append([])
        else:
            branches[-1].append(token)
    return branches


def _opens(token: re.Match[str]) -> int:
    if token[0].startswith("("):
        return 0 if token[0].endswith(")") else 1
    return -1 if token[0] == ")" else 0


def _needed_of_branch(tokens: Sequence[re.Match[str]]) -> tuple[Need, ...]:
    """The longest texts outside every group, then the words of each group, then texts with a set; none optional."""
    literals, depth, start = [[""]], 0, 0
    groups: list[Need] = []
    for place, token in enumerate(tokens):
        depth += (opened := _opens(token))
        optional = place + 1 < len(tokens) and tokens[place + 1][0].startswith(_OPTIONAL)
        if opened == 1 and depth == 1:
            start = place
        elif opened == -1 and not depth and not optional and not tokens[start][0].startswith(("(?=", "(?!", "(?<")):
            inside = "".join(token[0] for token in tokens[start + 1 : place])
            groups.append(needs_of(inside))
            if not groups[-1] and len(inside) > _LONG_GROUP and (loose := loosened(inside)):
                groups[-1] = (loose,)
        ends = [] if depth or opened or optional else _texts_of(token)
        if 0 < len(ends) * len(literals[-1]) <= _MOST_TEXTS:
            literals[-1] = [text + end for text in literals[-1] for end in ends]
        else:
            literals.append([""])
    by_length = sorted(literals, key=lambda texts: len(texts[0]), reverse=True)
    longest: list[Need] = [tuple(text.lower() for text in texts if len(text) > 2) for texts in by_length]
    plain = [words for words in longest if len(words) == 1]
    groups.sort(key=lambda need: -min(map(len, words_of(need)), default=0))
    # Numbers are in many a line that is about nothing.
    needs = (need for need in dict.fromkeys((*plain, *groups, *longest)) if need)
    return tuple(sorted(needs, key=lambda need: (not (words := words_of(need)), any(map(is_number, words)))))


def _texts_of(token: re.Match[str]) -> list[str]:
    """What ``token`` fits, if that is one of a few characters."""
    if _SET.fullmatch(token[0]):
        bounds = [(ord(member[1]), ord(member[2] or member[1])) for member in _MEMBER.finditer(token[0])]
        return [chr(code) for first, last in bounds for code in range(first, last + 1)]
    if token[1] is not None:
        return [] if token[1] in _CLASSES else [token[1]]
    return [] if token[3] is None or token[3] in ".^$)|" else [token[3]]


# Of these groups nothing is asked of a shape, in which a number is another.
_AROUND = ("(?!", "(?<!", "(?<=")
_PLAIN_ESCAPES = frozenset("bdDsSwW")
_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")


@functools.cache
def loosened(pattern: str) -> re.Pattern[str] | None:
    """What fits the shapes of all lines that ``pattern`` fits; None where nothing can be promised."""
    parts, hidden, tokens = [], 0, list(_TOKEN.finditer(pattern))
    for place, token in enumerate(tokens):
        if hidden or token[0] in _AROUND:
            hidden += _opens(token)
        elif token[2] is None:
            repeated = tokens[place + 1][2] if place + 1 < len(tokens) else None
            if (loose := _loosened(token, repeated or "")) is None:
                return None
            parts.append(loose)
    return re.compile("".join(parts), re.IGNORECASE)


def _loosened(token: re.Match[str], repeated: str) -> str | None:
    """``token``, repeated so, as it fits a shape, where its number may be before it; None if it is unknown."""
    text = token[0]
    if text.startswith("("):
        return "" if text.endswith(")") else text if text == "(?=" else "(?:"
    if text == "^":
        return ""  # A shape is of a line with its prefixes.
    if text in ("$", "|", ")", "\\b"):
        return text + repeated
    if token[1] and token[1].isalnum() and token[1] not in _PLAIN_ESCAPES:
        return None
    if text.startswith("[^"):
        text = "."  # Which letters it leaves out depends on their case.
    digits, others = _kinds(text)
    if not digits:
        return text + repeated
    if not others:
        return r"\d?" if repeated.startswith(_OPTIONAL) else r"(?:\d|(?<=\d))"
    if count := _COUNT.match(repeated):
        return f"{text}{{0,{count[3] if count[2] else count[1]}}}"
    return text + ("*" if repeated[:1] in ("+", "*") and repeated else "?")


@functools.cache
def _kinds(text: str) -> tuple[bool, bool]:
    """Whether the pattern of one character ``text`` fits a digit, and whether anything else."""
    fits = re.compile(text, re.IGNORECASE)
    return any(map(fits.match, string.digits)), any(
        fits.match(each) for each in map(chr, range(0x250)) if not each.isdigit()
    )
