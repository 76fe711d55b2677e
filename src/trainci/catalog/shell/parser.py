"""Pure: a shell script becomes a tree of its commands. Nothing is run.

Grammar: POSIX.1-2024, Shell Command Language, 2.10, with bash's ``function`` and ``[[``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeGuard

from trainci.catalog.command_words import is_python, program
from trainci.catalog.shell.tree import AndOr, Background, Case, Function, Group, If, Loop, Node, Pipeline, Simple
from trainci.shell_words import Token, Unreadable, substitutions, tokens

_DEEPEST = 60
_ONLY_SAY = ((), ("true",), (":",), ("echo",), ("printf",))
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^]]*\])?\+?=")


@lru_cache(maxsize=64)  # a walk comes to a function's own script, or a file that it reads, again and again
def parse(source: str, line: int = 1, depth: int = 0, *, flat: bool = False) -> Sequence[Node]:
    """The commands of ``source``, whose first line is ``line`` of its file; ``flat``: all its lines count as that.

    :raises Unreadable: it is no script that a shell would read to its end.
    """
    if depth > _DEEPEST:
        raise Unreadable(line)
    listed = list(tokens(source, line))
    listed = [replace(token, line=line) for token in listed] if flat else listed
    parser = _Parser(listed, depth)
    body = parser.body(())
    if parser.position < len(listed):
        raise Unreadable(listed[parser.position].line)
    return tuple(body)


@dataclass
class _Parser:
    listed: list[Token]
    depth: int
    position: int = 0
    deep: int = 0

    def _text(self, ahead: int = 0) -> str:
        at = self.position + ahead
        return self.listed[at].text if at < len(self.listed) else ""

    def _is(self, text: str, kind: str = "operator") -> bool:
        return self._text() == text and self.listed[self.position].kind == kind

    def _line(self) -> int:
        return self.listed[min(self.position, len(self.listed) - 1)].line if self.listed else 1

    def _expect(self, text: str) -> None:
        if self._text() != text:
            raise Unreadable(self._line())
        self.position += 1

    def _blank(self) -> None:
        while self._text() in ("\n", ";"):
            self.position += 1

    def body(self, ends: tuple[str, ...]) -> list[Node]:
        """Commands up to one of the words ``ends``, or to the end."""
        self.deep += 1
        if self.deep + self.depth > _DEEPEST:
            raise Unreadable(self._line())
        found: list[Node] = []
        self._blank()
        while self.position < len(self.listed) and self._text() not in ends:
            node = self._and_or()
            if self._is("&"):
                self.position += 1
                node = Background(node.line, node)
            found.append(node)
            if self.position < len(self.listed) and self._text() not in ("\n", ";", *ends):
                if isinstance(node, Background):
                    continue
                raise Unreadable(self._line())
            self._blank()
        self.deep -= 1
        return found

    def _and_or(self) -> Node:
        left = self._pipeline()
        while self._text() in ("&&", "||") and self.listed[self.position].kind == "operator":
            line, operator = self._line(), self._text()
            self.position += 1
            self._blank()
            right = self._pipeline()
            is_dealt_with = operator == "||" and isinstance(right, Simple) and right.words[:1] not in _ONLY_SAY
            left = AndOr(line, _asking(left) if is_dealt_with else left, operator, right)
        return left

    def _pipeline(self) -> Node:
        line, negated = self._line(), False
        while self._is("!", "word") or self._is("time", "word"):
            negated ^= self._text() == "!"
            self.position += 1
        parts = [self._command()]
        while self._text() in ("|", "|&") and self.listed[self.position].kind == "operator":
            self.position += 1
            self._blank()
            parts.append(_that_reads(parts[-1], self._command()))
        return parts[0] if len(parts) == 1 and not negated else Pipeline(line, parts, negated)

    def _command(self) -> Node:
        if self.position >= len(self.listed):
            raise Unreadable(self._line())
        line, text, kind = self._line(), self._text(), self.listed[self.position].kind
        if kind == "word" and text == "coproc":
            # It may have a name, where more than one command follows.
            self.position += 2 if self._text(2) in ("{", "(") else 1
            return Background(line, self._command())
        if kind == "word" and text == "function":
            self.position += 1
            return self._function(line)
        # `args=()` is an empty array.
        if kind == "word" and self._text(1) == "(" and self._text(2) == ")" and not _ASSIGNMENT.match(text):
            return self._function(line)
        made = self._compound(line, text) if kind == "word" or text == "(" else None
        if made is None:
            return self._simple(line)
        while self.position < len(self.listed) and self.listed[self.position].kind == "redirection":
            self.position += 2
        return made

    def _function(self, line: int) -> Node:
        name = self._text()
        self.position += 1
        if self._text() == "(":
            self.position += 2
        self._blank()
        return Function(line, name, self._command())

    def _compound(self, line: int, text: str) -> Node | None:
        if text == "(":
            if self._text(1) == "(":
                return self._arithmetic(line)
            self.position += 1
            body = self.body((")",))
            self._expect(")")
            return Group(line, body, subshell=True)
        if text == "{":
            self.position += 1
            body = self.body(("}",))
            self._expect("}")
            return Group(line, body)
        if text == "[[":
            return self._until_closed(line, "]]")
        made = {"if": self._if, "while": self._while, "until": self._while, "for": self._for, "select": self._for}
        if text == "case":
            return self._case(line)
        return made[text](line) if text in made else None

    def _arithmetic(self, line: int) -> Node:
        depth = 0
        texts: list[str] = []
        while self.position < len(self.listed):
            depth += (self._text() == "(") - (self._text() == ")")
            texts += [self._text()] if self._text() not in ("(", ")") else []
            self.position += 1
            if depth == 0:
                return Simple(line, ("((", *texts))
        raise Unreadable(line)

    def _until_closed(self, line: int, closing: str) -> Node:
        words: list[str] = []
        while self.position < len(self.listed) and self._text() != closing:
            words.append(self._text())
            self.position += 1
        self._expect(closing)
        return Simple(line, tuple(words))

    def _if(self, line: int) -> Node:
        branches: list[tuple[Sequence[Node], Sequence[Node]]] = []
        otherwise: Sequence[Node] = ()
        while self._text() in ("if", "elif"):
            self.position += 1
            condition = [_asking(node) for node in self.body(("then",))]
            self._expect("then")
            branches.append((condition, self.body(("elif", "else", "fi"))))
        if self._text() == "else":
            self.position += 1
            otherwise = self.body(("fi",))
        self._expect("fi")
        return If(line, branches, otherwise)

    def _while(self, line: int) -> Node:
        self.position += 1
        condition = self.body(("do",))
        return Loop(line, condition, self._do())

    def _for(self, line: int) -> Node:
        self.position += 2
        words: tuple[str, ...] | None = None
        if self.listed[self.position - 1].text == "(":
            self.position -= 1
            self._arithmetic(line)
        if self._text() == "in":
            self.position += 1
            first = self.position
            while self.position < len(self.listed) and self._text() not in ("\n", ";"):
                self.position += 1
            words = tuple(token.text for token in self.listed[first : self.position])
        self._blank()
        return Loop(line, (), self._do(), words)

    def _do(self) -> Sequence[Node]:
        self._expect("do")
        body = self.body(("done",))
        self._expect("done")
        return body

    def _case(self, line: int) -> Node:
        word = self.listed[self.position + 1].text if self.position + 1 < len(self.listed) else ""
        self.position += 2
        self._blank()
        self._expect("in")
        self._blank()
        branches: list[tuple[tuple[str, ...], Sequence[Node]]] = []
        while self._text() != "esac":
            first = self.position
            while self.position < len(self.listed) and self._text() != ")":
                self.position += 1
            patterns = (token.text for token in self.listed[first : self.position])
            self._expect(")")
            body = self.body((";;", ";&", ";;&", "esac"))
            branches.append((tuple(one for one in patterns if one not in ("(", "|")), body))
            if self._text() == ";;":
                self.position += 1
            self._blank()
        self._expect("esac")
        return Case(line, word, branches)

    def _simple(self, line: int) -> Node:
        words: list[str] = []
        assigned: list[str] = []
        inner: list[Sequence[Node]] = []
        given = ""
        while self.position < len(self.listed) and self.listed[self.position].kind != "operator":
            token = self.listed[self.position]
            self.position += 1
            if token.kind == "redirection":
                given = token.document or given
                self.position += self.position < len(self.listed) and self.listed[self.position].kind == "word"
                continue
            scripts = (parse(text, token.line, self.depth + 1) for text in substitutions(token.text))
            inner += [tuple(map(_asking, script)) for script in scripts]
            if not words and _ASSIGNMENT.match(token.text):
                assigned.append(token.text)
                if token.text.endswith("=") and self._text() == "(":  # an array
                    self._arithmetic(line)
            else:
                words.append(token.text)
        if (
            not words
            and not assigned
            and self.position < len(self.listed)
            and self._text() in ("(", ")", ";;", "&", "|")
        ):
            raise Unreadable(line)
        return Simple(line, tuple(words), tuple(assigned), tuple(inner), given)


def _that_reads(before: Node, node: Node) -> Node:
    """A command behind a pipe: what `cat << END` or `echo TEXT` hands it is as good as its own."""
    if not isinstance(before, Simple) or not isinstance(node, Simple) or node.given:
        return node
    text = before.given if before.words == ("cat",) else ""
    if before.words[:1] == ("echo",) and len(before.words) == 2:
        text = before.words[1]
    return replace(node, given=text)


def _asking(node: Node) -> Node:
    """A command of a condition: a program of Python's that is asked about the machine is marked as that.

    It is a text of its own, or ``grep`` looks for the answer; one that speaks of tests may be one.
    """
    if isinstance(node, Simple):
        return replace(node, asks=True) if "-c" in node.words and _is_plain_python(node) else node
    if not isinstance(node, Pipeline):
        return node
    last = node.parts[-1]
    is_looked_at = isinstance(last, Simple) and last.words[:1] == ("grep",)
    parts = [
        replace(part, asks=True) if is_looked_at and _is_plain_python(part) else _asking(part)
        for part in node.parts
    ]
    return replace(node, parts=parts)


def _is_plain_python(node: Node) -> TypeGuard[Simple]:
    words = node.words if isinstance(node, Simple) else ()
    return bool(words) and is_python(program(words[0])) and "test" not in " ".join(words)
