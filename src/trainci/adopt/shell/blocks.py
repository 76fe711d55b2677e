"""Loops and conditions of a shell script whose words are constants: which turns they take. Nothing is run.

Grammar: POSIX.1-2024, Shell Command Language, 2.9.4 Compound Commands, with bash's ``[[``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trainci.shell_words import Token, expand

BLOCKS = {"if": "fi", "for": "done", "while": "done", "until": "done", "select": "done", "case": "esac", "{": "}"}
BLOCKS |= {"[[": "]]", "((": "))"}
_LEADING = {"then", "do", "else", "elif", "if", "while", "until", "!", "{"}
# Far more than anybody lists in a script.
MOST_TURNS = 100


@dataclass(frozen=True)
class Part:
    """Commands within a block as they are written; ``line`` is the first one's."""

    source: str
    line: int


@dataclass(frozen=True)
class Loop:
    """``for name in words; do body; done``."""

    name: str
    words: tuple[Token, ...]
    body: Part

    def turns(self, variables: Mapping[str, str | None]) -> list[str] | None:
        """The values of ``name``, one for each turn; None where only a run knows them, or there are too many."""
        made: list[str] = []
        if re.search(r"\b(?:break|continue)\b", self.body.source):
            return None
        for word in self.words:
            value = expand(word.text, variables)
            if value.open:
                return None
            made += value.fields
        return made if len(made) <= MOST_TURNS else None


@dataclass(frozen=True)
class Branches:
    """``if``: each condition with what follows it; the condition of ``else`` is empty."""

    cases: tuple[tuple[tuple[Token, ...], Part], ...]

    def taken(self, variables: Mapping[str, str | None]) -> Part | None:
        """What is run; None where only a run knows. A part without commands is one, too."""
        for condition, part in self.cases:
            holds = _holds(condition, variables) if condition else True
            if holds is None:
                return None
            if holds:
                return part
        return Part("", 0)


@dataclass(frozen=True)
class Group:
    """``( body )``, which leaves nothing behind of what it sets, or ``{ body; }``."""

    body: Part
    is_subshell: bool


Block = Loop | Branches | Group


def read_block(source: str, listed: Sequence[Token]) -> Block | None:
    """The block that ``listed`` are the tokens of; None for one of another kind."""
    if (closing := {"(": ")", "{": "}"}.get(listed[0].text)) is not None:
        end = next((at for at in range(len(listed) - 1, 0, -1) if listed[at].text == closing), None)
        return Group(_part(source, listed, 0, end), closing == ")") if end else None
    marks = list(_marks(listed))
    names = [listed[at].text for at in marks]
    if names[:1] == ["for"] and names[1:] == ["do", "done"] and len(listed) > 3 and listed[2].text == "in":
        words = tuple(token for token in listed[3 : marks[1]] if token.kind == "word")
        return Loop(listed[1].text, words, _part(source, listed, marks[1], marks[2]))
    if names[:1] == ["if"] and names[-1:] == ["fi"]:
        return _branches(source, listed, marks)
    return None


def _branches(source: str, listed: Sequence[Token], marks: Sequence[int]) -> Branches | None:
    cases: list[tuple[tuple[Token, ...], Part]] = []
    for number, at in enumerate(marks[:-1]):
        name, following = listed[at].text, marks[number + 1]
        if name == "then":
            start = marks[number - 1]
            cases.append((tuple(listed[start + 1 : at]), _part(source, listed, at, following)))
        elif name == "else":
            cases.append(((), _part(source, listed, at, following)))
    return Branches(tuple(cases)) if all(condition for condition, _ in cases[:1]) and cases else None


def _part(source: str, listed: Sequence[Token], start: int, end: int) -> Part:
    return Part(source[listed[start].end : listed[end].start], listed[start].line)


def _marks(listed: Sequence[Token]) -> Iterator[int]:
    """Where the outermost block's own words stand: ``if``, ``then``, ``elif``, ``else``, ``fi``, ``do``, …"""
    closing: list[str] = []
    for at, token in enumerate(listed):
        before = listed[at - 1] if at else None
        begins = before is None or before.kind == "operator" or before.text in _LEADING
        if token.text == "(" and token.kind == "operator" and closing[-1:] != ["esac"]:
            closing.append(")")
        elif closing and token.text == closing[-1] and (begins or token.text in (")", "]]", "))")):
            closing.pop()
            if not closing:
                yield at
        elif token.kind == "word" and token.text in BLOCKS and (begins or token.text == "[["):
            closing.append(BLOCKS[token.text])
            if len(closing) == 1:
                yield at
        elif len(closing) == 1 and begins and token.text in ("then", "elif", "else", "do"):
            yield at


def _holds(condition: Sequence[Token], variables: Mapping[str, str | None]) -> bool | None:
    """Whether ``[ a = b ]`` and its like hold, joined by ``&&`` and ``||``; None where only a run knows."""
    parts: list[list[Token]] = [[]]
    joints: list[str] = []
    for token in condition:
        if token.kind == "operator" and token.text in ("&&", "||"):
            joints.append(token.text)
            parts.append([])
        elif token.text not in ("\n", ";"):
            parts[-1].append(token)
    if len(set(joints)) > 1:
        return None  # `[[ ]]` and the shell group them in different ways
    if parts[0][:1] and parts[0][0].text == "[[" and len(parts) > 1 and parts[0][-1].text != "]]":
        opening, closing = parts[0][:1], parts[-1][-1:]
        parts[0], parts[-1] = parts[0][1:], parts[-1][:-1]
        parts = [[*opening, *part, *closing] for part in parts]
    known = [_one_holds(part, variables) for part in parts]
    if joints[:1] == ["||"]:
        return True if True in known else None if None in known else False
    return False if False in known else None if None in known else True


def _one_holds(tokens: Sequence[Token], variables: Mapping[str, str | None]) -> bool | None:
    if any(token.kind != "word" for token in tokens):
        return None
    words: list[str] = []
    for token in tokens:
        value = expand(token.text, variables)
        if value.open:
            return None
        words.append(value.text)
    match words:
        case ["[" | "[[", *_] if words[-1] not in ("]", "]]"):
            return None
        case ["[" | "[[", "-z", text, _]:
            return not text
        case ["[" | "[[", "-n", text, _]:
            return bool(text)
        case ["[" | "[[", left, "=" | "==" | "!=" as sign, right, _] if not set("*?[") & set(right):
            return (left == right) == (sign != "!=")
        case ["true"]:
            return True
        case ["false"]:
            return False
    return None
