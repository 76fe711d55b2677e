"""Pure: the rules for logs, as they stand in a TOML file, and which of them a line fits."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from trainci.model.diagnosis import Blame, Kind, LogRule
from trainci.verdict.pattern_needs import every_word, holds, holds_in_shape, loosened, needs_of, shaped, words_of
from trainci.verdict.triage import Patterns, Triage, is_number, shape_of

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
        self._needs = [needs_of(pattern) for _, pattern in patterns]
        self._patterns = patterns
        self._shaped = [shaped(needs) for needs in self._needs]
        self._first: dict[str, set[int]] = {}
        for index, needs in enumerate(self._needs):
            for word in words_of(needs) or ("",):
                self._first.setdefault(word if is_number(word) else shape_of(word), set()).add(index)
        self.words = {*self._first, *(shape_of(word) for needs in self._needs for word in every_word(needs))}
        """Texts in lower case; what a line holds of them says which patterns it may fit."""
        self._triage = Triage(self._first, lambda _, words: self.begun(words))
        self._numbers = {rule: number for number, rule in enumerate(self._rules)}

    def candidates(self, line: str) -> Sequence[int]:
        """Which patterns ``line`` may fit."""
        return self._triage.found([line]).get(0, ())

    def matches(
        self, line: str, among: Sequence[int], libraries: Collection[str] = (), source: str = ""
    ) -> Iterator[tuple[LogRule, bool]]:
        """The rules that ``line`` fits, in their order, each with whether its pattern fits from the line's start.

        If the line is an exception's, ``libraries`` are those that it passed through, and ``source`` is a line of
        the program that led to it, which may not fit a rule's ``unless`` either.
        """
        low = line.lower()
        last = -1
        for index in among:
            number, pattern = self._patterns[index]
            if number == last:
                continue
            within = self._rules[number].within
            if within and not any(library in libraries for library in within):
                continue
            needs = self._needs[index]
            if (needs and not holds(needs, low)) or not (match := _compiled(pattern).search(line)):
                continue
            if not self._refuses(number, line) and not (source and self._refuses(number, source)):
                last = number
                yield self._rules[number], match.start() == 0

    def only(self, name: str, among: Sequence[int]) -> Sequence[int]:
        """Those patterns that are of the rule ``name``."""
        return [index for index in among if self._rules[self._patterns[index][0]].name == name]

    def begun(self, words: frozenset[str]) -> Patterns:
        """The patterns that are to be asked of a line which holds these ``words``."""
        nothing: set[int] = set()
        return tuple(sorted(nothing.union(*(self._first.get(word, nothing) for word in words))))

    def fitting(self, shape: str, words: frozenset[str]) -> Patterns:
        """The patterns that a line of this ``shape`` may fit, of all whose ``words`` the line holds these."""
        return tuple(index for index in self.begun(words) if self._may_fit(index, shape, words))

    def _may_fit(self, index: int, shape: str, words: frozenset[str]) -> bool:
        if self._needs[index] and not holds_in_shape(self._shaped[index], words, shape):
            return False
        loose = loosened(self._patterns[index][1])
        return loose is None or loose.search(shape) is not None

    def refuses(self, rule: LogRule, text: str) -> bool:
        """Whether ``text``, which says more of a line that fits ``rule``, rules it out."""
        return self._refuses(self._numbers[rule], text)

    def _refuses(self, number: int, line: str) -> bool:
        unless = self._rules[number].unless
        return bool(unless) and _compiled(unless).search(line) is not None


_compiled = functools.cache(re.compile)
"""Most patterns are asked of no line of a log."""


@functools.lru_cache(maxsize=4)
def matcher_of(rules: tuple[LogRule, ...]) -> Matcher:
    """The Matcher of ``rules``, which takes longer to make than most logs take to be read."""
    return Matcher(rules)
