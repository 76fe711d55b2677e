"""Pure: the rules for logs, as they stand in a TOML file, and which of them a line fits."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from trainci.model.diagnosis import Blame, Kind, LogRule
from trainci.verdict.triage import Triage

_CLASSES = frozenset("AbBdDsSwWZ0123456789")


_WORD = re.compile(r"@(\w+)@")


def rules_of(document: Mapping[str, Any]) -> tuple[LogRule, ...]:
    """The rules of a parsed ``log_rules.toml``, in its order."""

    def filled(pattern: str) -> str:
        """With the words that it names, which may name words in turn."""
        return _WORD.sub(lambda word: filled(document["words"][word[1]]), pattern)

    return tuple(
        LogRule(
            name=table["name"],
            patterns=tuple(filled(pattern) for pattern in table["pattern"]),
            meaning=table["meaning"],
            blame=Blame(table["blame"]),
            kind=Kind(table["kind"]),
            unless=filled(table.get("unless", "")),
            within=tuple(table.get("within", ())),
            source=table["source"],
            example=table["example"],
        )
        for table in document["rule"]
    )


class Matcher:
    """Finds the rules that a line fits. Most lines are ruled out by words that a pattern cannot be without."""

    def __init__(self, rules: Iterable[LogRule]) -> None:
        self._rules = tuple(rules)
        patterns = [(number, pattern) for number, rule in enumerate(self._rules) for pattern in rule.patterns]
        self._needs = [_needs(pattern) for _, pattern in patterns]
        self._patterns = [
            (number, _words_of(needs), re.compile(pattern))
            for (number, pattern), needs in zip(patterns, self._needs, strict=True)
        ]
        self.words: dict[str, set[int]] = {}
        """Texts in lower case of which a line holds one if it fits a pattern, each with the patterns."""
        for index, (_, words, _) in enumerate(self._patterns):
            for word in words or ("",):
                self.words.setdefault(word, set()).add(index)
        self._triage = Triage(self.words)
        self._numbers = {rule: number for number, rule in enumerate(self._rules)}
        self._unless = {number: re.compile(rule.unless) for number, rule in enumerate(self._rules) if rule.unless}

    def candidates(self, line: str) -> Sequence[int]:
        """Which patterns ``line`` may fit."""
        return self._triage.found([line]).get(0, ())

    def matches(
        self, line: str, among: Sequence[int], libraries: Collection[str] = (), source: str = ""
    ) -> list[tuple[LogRule, bool]]:
        """The rules that ``line`` fits, in their order, each with whether its pattern fits from the line's start.

        If the line is an exception's, ``libraries`` are those that it passed through, and ``source`` is a line of
        the program that led to it, which may not fit a rule's ``unless`` either.
        """
        low = line.lower()
        found: dict[int, bool] = {}
        for index in among:
            number, _, pattern = self._patterns[index]
            if number in found:
                continue
            within = self._rules[number].within
            if within and not any(library in libraries for library in within):
                continue
            if not self._may_fit(index, low) or not (match := pattern.search(line)):
                continue
            if not self._refuses(number, line) and not (source and self._refuses(number, source)):
                found[number] = match.start() == 0
        return [(self._rules[number], found[number]) for number in sorted(found)]

    def _may_fit(self, index: int, low: str) -> bool:
        return any(all(any(word in low for word in words) for words in needed) for needed in self._needs[index])

    def refuses(self, rule: LogRule, text: str) -> bool:
        """Whether ``text``, which says more of a line that fits ``rule``, rules it out."""
        return self._refuses(self._numbers[rule], text)

    def _refuses(self, number: int, line: str) -> bool:
        unless = self._unless.get(number)
        return unless is not None and unless.search(line) is not None


@functools.lru_cache(maxsize=4)
def matcher_of(rules: tuple[LogRule, ...]) -> Matcher:
    """The Matcher of ``rules``, which takes longer to make than most logs take to be read."""
    return Matcher(rules)


@functools.cache
def needed_words(pattern: str) -> tuple[str, ...]:
    """Texts in lower case of which a line that ``pattern`` fits holds one; none where nothing can be promised."""
    return _words_of(_needs(pattern))


def _words_of(needs: Sequence[Sequence[tuple[str, ...]]]) -> tuple[str, ...]:
    return tuple(word for needed in needs for word in needed[0]) if all(needs) else ()


def _needs(pattern: str) -> list[list[tuple[str, ...]]]:
    """Of each alternative of ``pattern`` texts in lower case; a line that it fits holds one of each tuple."""
    return [_needed_of_branch(branch) for branch in _split(pattern)]


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


def _needed_of_branch(tokens: Sequence[re.Match[str]]) -> list[tuple[str, ...]]:
    """The longest texts outside every group, then the words of each group, then texts with a set; none optional."""
    literals, groups, depth, start = [[""]], [], 0, 0
    for place, token in enumerate(tokens):
        depth += (opened := _opens(token))
        optional = place + 1 < len(tokens) and tokens[place + 1][0].startswith(_OPTIONAL)
        if opened == 1 and depth == 1:
            start = place
        elif opened == -1 and not depth and not optional and not tokens[start][0].startswith(("(?=", "(?!", "(?<")):
            inside = "".join(token[0] for token in tokens[start + 1 : place])
            groups.append(needed_words(inside))
        ends = [] if depth or opened or optional else _texts_of(token)
        if 0 < len(ends) * len(literals[-1]) <= _MOST_TEXTS:
            literals[-1] = [text + end for text in literals[-1] for end in ends]
        else:
            literals.append([""])
    by_length = sorted(literals, key=lambda texts: len(texts[0]), reverse=True)
    longest = [tuple(text.lower() for text in texts if len(text) > 2) for texts in by_length]
    plain = [words for words in longest if len(words) == 1]
    # Numbers and short words are in many a line that is about nothing.
    groups.sort(key=lambda words: (any(word.isdigit() for word in words), -min(map(len, words), default=0)))
    return [words for words in dict.fromkeys((*plain, *groups, *longest)) if words]


def _texts_of(token: re.Match[str]) -> list[str]:
    """What ``token`` fits, if that is one of a few characters."""
    if _SET.fullmatch(token[0]):
        bounds = [(ord(member[1]), ord(member[2] or member[1])) for member in _MEMBER.finditer(token[0])]
        return [chr(code) for first, last in bounds for code in range(first, last + 1)]
    if token[1] is not None:
        return [] if token[1] in _CLASSES else [token[1]]
    return [] if token[3] is None or token[3] in ".^$)|" else [token[3]]
