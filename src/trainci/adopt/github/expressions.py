"""Expressions of GitHub's workflows, ``${{ … }}``, as far as a pull request's values and constants decide them.

Grammar: https://docs.github.com/actions/reference/workflows-and-actions/expressions
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from trainci.adopt.placed import Items, Table, Text, Value
from trainci.adopt.tools.filling import MOST_FILLED

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<mark>\|\||&&|==|!=|<=|>=|[!().\[\],<>*]))"
)
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
# What these are for the event of a pull request; everything else of `github` is known at run time only.
_PULL_REQUEST = {
    "github.event_name": "pull_request",
    "github.workspace": ".",
    "github.event.pull_request.draft": "false",
    "github.event.inputs": "",
}


@dataclass(frozen=True)
class Unknown:
    """A value that only a run knows; ``choice`` says that it decides between constants."""

    name: str = ""
    choice: bool = False


Result = Value | Unknown


@dataclass
class Context:
    """The constants that expressions may name: ``matrix``, ``inputs``, ``env``."""

    values: dict[str, Table] = field(default_factory=dict)


def substitute(text: Text, context: Context) -> tuple[Text, tuple[str, ...]]:
    """``text`` with each expression that has a constant value replaced, and those that have none.

    One beyond ``MOST_FILLED`` characters of values in all has none: a value may be long and stand there often.
    """
    unknown: list[str] = []
    length = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal length
        value = evaluate(match.group(1), context)
        if isinstance(value, Text) and (length := length + len(value)) <= MOST_FILLED:
            return value
        unknown.append(match.group(0))
        return match.group(0)

    return Text(_EXPRESSION.sub(replaced, text), text.line), tuple(unknown)


def bare(condition: str) -> str:
    """An ``if:``, which is an expression with or without its braces, without them."""
    text = condition.strip()
    return text.removeprefix("${{").removesuffix("}}") if text.startswith("${{") else text


def evaluate(source: str, context: Context) -> Result:
    """The value of the expression between the braces; Unknown also for what is no expression."""
    try:
        parser = _Parser(source, context)
        value = parser.alternatives()
        return value if parser.at_end() else Unknown(source.strip())
    except (_Bad, RecursionError):
        return Unknown(source.strip())


class _Bad(Exception):
    pass


def is_true(value: Result) -> bool:
    """Whether GitHub takes the value for true; what only a run knows counts as true."""
    if not isinstance(value, Text):
        return True
    return bool(value) if value.quoted else value not in ("", "false", "0", "null", "~")


class _Parser:
    def __init__(self, source: str, context: Context) -> None:
        self._context = context
        self._tokens: list[tuple[str, str]] = []
        position = 0
        source = source.strip()
        while position < len(source):
            match = _TOKEN.match(source, position)
            if match is None or match.lastgroup is None:
                raise _Bad
            self._tokens.append((match.lastgroup, match.group(match.lastgroup)))
            position = match.end()
        self._next = 0

    def at_end(self) -> bool:
        return self._next == len(self._tokens)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if not self.at_end() else ("", "")

    def _take(self, mark: str = "") -> str:
        kind, text = self._peek()
        if not kind or (mark and text != mark):
            raise _Bad
        self._next += 1
        return text

    def alternatives(self) -> Result:
        value = self._both()
        while self._peek() == ("mark", "||"):
            self._take()
            other = self._both()
            # What only a run knows gives way to the constant that stands for it when there is none.
            if isinstance(value, Unknown) and value.choice:
                continue
            if isinstance(value, Unknown) or not is_true(value):
                value = other
        return value

    def _both(self) -> Result:
        value = self._comparison()
        while self._peek() == ("mark", "&&"):
            self._take()
            other = self._comparison()
            if isinstance(value, Unknown):
                value = other if not is_true(other) else Unknown(value.name, choice=True)
            elif is_true(value):
                value = other
        return value

    def _comparison(self) -> Result:
        value = self._unary()
        kind, mark = self._peek()
        if kind == "mark" and mark in ("==", "!=", "<", ">", "<=", ">="):
            self._take()
            other = self._unary()
            if not isinstance(value, Text) or not isinstance(other, Text) or mark not in ("==", "!="):
                return Unknown()
            equal = value.lower() == other.lower()
            return _boolean(equal == (mark == "=="))
        return value

    def _unary(self) -> Result:
        if self._peek() == ("mark", "!"):
            self._take()
            value = self._unary()
            return value if isinstance(value, Unknown) else _boolean(not is_true(value))
        return self._primary()

    def _primary(self) -> Result:
        kind, _ = self._peek()
        text = self._take()
        if kind == "text":
            return Text(text[1:-1].replace("''", "'"), 0, quoted=True)
        if kind == "number":
            return Text(text, 0)
        if text == "(":
            value = self.alternatives()
            self._take(")")
            return value
        if kind != "name":
            raise _Bad
        if self._peek() == ("mark", "("):
            return self._members(text, self._call(text))
        if text in ("true", "false"):
            return Text(text, 0)
        if text == "null":
            return Text("", 0)
        return self._lookup(text)

    def _call(self, name: str) -> Result:
        self._take("(")
        arguments: list[Result] = []
        while self._peek() != ("mark", ")"):
            arguments.append(self.alternatives())
            if self._peek() == ("mark", ","):
                self._take()
        self._take(")")
        function = _FUNCTIONS.get(name.lower())
        return function(arguments) if function else Unknown(name)

    def _lookup(self, name: str) -> Result:
        value = self._context.values.get(name)
        return self._members(name, Unknown(name) if value is None else value)

    def _members(self, path: str, known: Result) -> Result:
        while self._peek()[1] in (".", "["):
            key: Result
            if self._take() == ".":
                key = Text(self._take(), 0)
            else:
                key = self.alternatives()
                self._take("]")
            path += f".{key}" if isinstance(key, Text) else ".?"
            known = _member(known, key) if isinstance(key, Text) else Unknown(path)
            if isinstance(known, Unknown):
                known = _pull_request(path)
        return known


def _member(value: Result, key: Text) -> Result:
    if isinstance(value, Table):
        return value.get(key, Text("", value.line) if value.whole else Unknown(key))
    if isinstance(value, Items) and key.isdigit() and int(key) < len(value):
        return value[int(key)]
    return value if isinstance(value, Text) and not value else Unknown(key)


def _pull_request(path: str) -> Result:
    for known, value in _PULL_REQUEST.items():
        if path == known or (path.startswith(f"{known}.") and not value):
            return Text(value, 0)
    return Unknown(path)


def _boolean(value: bool) -> Text:
    return Text("true" if value else "false", 0)


def _from_json(arguments: list[Result]) -> Result:
    if len(arguments) != 1 or not isinstance(arguments[0], Text):
        return Unknown()
    try:
        return placed(json.loads(arguments[0]), arguments[0].line)
    except (ValueError, RecursionError):
        return Unknown()


def _format(arguments: list[Result]) -> Result:
    texts = [argument for argument in arguments if isinstance(argument, Text)]
    if len(texts) != len(arguments) or not texts:
        return Unknown()
    filled = str(texts[0])
    for position, text in enumerate(texts[1:]):
        filled = filled.replace(f"{{{position}}}", text)
    return Text(filled, texts[0].line)


def _of_two(function: Callable[[Value, str], bool]) -> Callable[[list[Result]], Result]:
    """A function of two known arguments, of which the second is a text; GitHub compares without case."""

    def called(arguments: list[Result]) -> Result:
        match arguments:
            case [Unknown(), _] | [_, Unknown()]:
                return Unknown()
            case [(Text() | Items()) as where, Text() as what]:
                return _boolean(function(where, what.lower()))
        return Unknown()

    return called


def _contains(where: Value, what: str) -> bool:
    if isinstance(where, Items):
        return any(isinstance(one, Text) and one.lower() == what for one in where)
    return isinstance(where, Text) and what in where.lower()


_FUNCTIONS: dict[str, Callable[[list[Result]], Result]] = {
    "fromjson": _from_json,
    "format": _format,
    "contains": _of_two(_contains),
    "startswith": _of_two(lambda where, what: isinstance(where, Text) and where.lower().startswith(what)),
    "endswith": _of_two(lambda where, what: isinstance(where, Text) and where.lower().endswith(what)),
    "always": lambda _: Text("true", 0),
    "success": lambda _: Text("true", 0),
    "cancelled": lambda _: Text("false", 0),
    "failure": lambda _: Text("false", 0),
}


def placed(value: object, line: int) -> Value:
    """A constant of Python (or JSON) as YAML would hold it, all of it at one line unless it knows its own."""
    line = getattr(value, "line", line)
    if isinstance(value, dict):
        return Table({str(key): placed(child, line) for key, child in value.items()}, line)
    if isinstance(value, (list, tuple)):
        return Items([placed(child, line) for child in value], line)
    if isinstance(value, bool):
        return Text("true" if value else "false", line)
    return Text("" if value is None else str(value), line, quoted=isinstance(value, str))
