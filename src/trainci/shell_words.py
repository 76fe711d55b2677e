"""The tokens of a shell script, and what a word stands for. Nothing is run; what only a shell knows stays open.

Grammar: POSIX.1-2024, Shell Command Language, 2.2 Quoting and 2.3 Token Recognition, with bash's ``[[``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_OPERATOR = re.compile(r"&&|\|\||;;|\|&|[;|&()]")
_REDIRECTION = re.compile(r"\d*(?:<<<|<<-?|<>|>>|>\||[<>]&?)|&>>?")
_PROCESS = re.compile(r"[<>]\(")
_HEREDOC = re.compile(r"\d*<<(?!<)-?")
# A default may name another variable: ${RUNNER:-$USUAL}.
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?:(:?-)((?:[^{}$`]|\$\w+|\$\{\w+\})*))?\}|([A-Za-z_]\w*))")
# All values of an array, each a field of its own; ``expand`` knows them as ``name[@]``, parted by ``PARTED``.
_ALL_OF_ARRAY = re.compile(r"\$\{([A-Za-z_]\w*)\[[@*]\]\}")
PARTED = "\x1f"
# What variables may put into one word, far beyond any list of tests: each can hold another twice, and so on.
MOST_FILLED = 16 * 1024
# Whole numbers, multiplied and added: $(( 30 * 60 )).
_ARITHMETIC = re.compile(r"\$\(\(\s*(\d{1,6}(?:\s*[*+]\s*\d{1,6}){0,8})\s*\)\)")
# A text of several lines as one value: VALUE=$(cat <<EOF … EOF).
_HERE_DOCUMENT = re.compile(
    rf"\$\(\s*cat\s+<<(-?)[ \t]*(['\"]?)(\w+)\2[ \t]*\n(.{{0,{MOST_FILLED}}}?)\n[ \t]*\3\s*\)", re.DOTALL
)
_ENDS_WORD = set(" \t\n;|&()<>")
# Characters that stand for themselves, wherever they are: what most of a script is, taken at once.
_PLAIN = re.compile(r"[^ \t\n;|&()<>{}\\'\"`$~]+")
# An array: ``name=(a b)``, ``name+=(c)``.
_ARRAY = re.compile(r"[A-Za-z_]\w*\+?=\(")


@dataclass(frozen=True)
class Token:
    """``kind`` is "word", "operator" (a line end, too) or "redirection"; ``start`` and ``end`` are offsets.

    ``document``: what the first here-document of a line holds.
    """

    kind: str
    text: str
    line: int
    start: int
    end: int
    document: str = ""


class Unreadable(Exception):
    """A quote or a bracket that never closes; ``line`` is where it opens."""

    def __init__(self, line: int) -> None:
        super().__init__("a quote or bracket is never closed")
        self.line = line


def tokens(source: str, line: int) -> Iterator[Token]:
    """The tokens of ``source``, whose first line is ``line`` of its file.

    :raises Unreadable: at a quote or bracket that is never closed.
    """
    position = 0
    heredocs: list[str] = []
    while position < len(source):
        ch = source[position]
        if source.startswith("\\\n", position):
            position, line = position + 2, line + 1
        elif ch in " \t\r":
            position += 1
        elif ch == "#":
            end = source.find("\n", position)
            position = len(source) if end < 0 else end
        elif ch == "\n":
            yield Token("operator", "\n", line, position, position + 1)
            position, line = position + 1, line + 1
            for delimiter in heredocs:
                position, line = _skip_heredoc(source, position, line, delimiter)
            heredocs = []
        elif (match := _REDIRECTION.match(source, position)) and not _PROCESS.match(source, position):
            document = ""
            if _HEREDOC.fullmatch(match.group()):
                word = re.compile(r"\s*(['\"]?)([\w.-]+)\1").match(source, match.end())
                if word is None:
                    raise Unreadable(line)
                first = source.find("\n", word.end()) + 1
                if first and not heredocs:
                    end, _ = _skip_heredoc(source, first, line, word.group(2))
                    document = source[first:end].rstrip("\n").rpartition("\n")[0]
                heredocs = [*heredocs, word.group(2)]
            yield Token("redirection", match.group(), line, position, match.end(), document)
            position = match.end()
        elif match := _OPERATOR.match(source, position):
            yield Token("operator", match.group(), line, position, match.end())
            position = match.end()
        else:
            start = (
                _nested_end(source, position + 1, "(", ")", line) if _PROCESS.match(source, position) else position
            )
            end = _word_end(source, start, line)
            yield Token("word", source[position:end], line, position, end)
            line += source.count("\n", position, end)
            position = end


def substitutions(word: str) -> Iterator[str]:
    """The scripts in ``$(…)``, ``<(…)`` and backquotes of a word, where its quotes let a shell run them.

    :raises Unreadable: one of them is never closed.
    """
    position, quoted = 0, False
    while position < len(word):
        ch = word[position]
        if ch == "'" and not quoted:
            position = _find(word, "'", position + 1, 0)
        elif ch == '"':
            quoted, position = not quoted, position + 1
        elif ch == "\\":
            position += 2
        elif ch == "`" or (word.startswith("$(", position) and not word.startswith("$((", position)):
            end = _expansion_end(word, position, 0)
            yield word[position + (1 if ch == "`" else 2) : end - 1]
            position = end
        elif _PROCESS.match(word, position) and not quoted:
            position = _nested_end(word, position + 1, "(", ")", 0)
            yield word[word.index("(") + 1 : position - 1]
        else:
            position += 1


def _skip_heredoc(source: str, position: int, line: int, delimiter: str) -> tuple[int, int]:
    while position < len(source):
        end = source.find("\n", position)
        end = len(source) if end < 0 else end
        text, position, line = source[position:end], end + 1, line + 1
        if text.strip() == delimiter:
            return position, line
    return len(source), line


def _word_end(source: str, position: int, line: int) -> int:
    if array := _ARRAY.match(source, position):
        return _bracket_end(source, array.end(), "()", line)
    while position < len(source) and source[position] not in _ENDS_WORD:
        position = _part_end(source, position, line)
    return position


def _part_end(source: str, position: int, line: int) -> int:
    """The end of plain characters, of one that is not, of a quotation or an expansion."""
    if plain := _PLAIN.match(source, position):
        return plain.end()
    ch = source[position]
    if ch == "\\":
        return min(position + 2, len(source))
    if ch == "'":
        return _find(source, "'", position + 1, line)
    if ch == '"':
        position += 1
        while position < len(source) and source[position] != '"':
            if plain := _PLAIN.match(source, position):
                position = plain.end()
            else:
                position = position + 2 if source[position] == "\\" else _expansion_end(source, position, line)
        if position >= len(source):
            raise Unreadable(line)
        return position + 1
    return _expansion_end(source, position, line)


def _expansion_end(source: str, position: int, line: int) -> int:
    if source[position] == "`":
        return _find(source, "`", position + 1, line)
    for brackets in ("()", "{}"):
        if source.startswith("$" + brackets[0], position):
            return _bracket_end(source, position + 2, brackets, line)
    return position + 1


def _bracket_end(source: str, position: int, brackets: str, line: int) -> int:
    """The end of what began with a bracket before ``position``."""
    opening, closing = brackets[0], brackets[1]
    while position < len(source) and source[position] != closing:
        if source[position] == opening:  # a bracket within brackets
            position = _nested_end(source, position, opening, closing, line)
        else:
            position = _part_end(source, position, line)
    if position >= len(source):
        raise Unreadable(line)
    return position + 1


def _nested_end(source: str, position: int, opening: str, closing: str, line: int) -> int:
    depth = 0
    while position < len(source):
        depth += (source[position] == opening) - (source[position] == closing)
        position += 1
        if depth == 0:
            return position
    raise Unreadable(line)


def _find(source: str, text: str, position: int, line: int) -> int:
    end = source.find(text, position)
    if end < 0:
        raise Unreadable(line)
    return end + len(text)


@dataclass(frozen=True)
class Expanded:
    """A word with its constant variables filled in: its fields, and the names of what only a run knows."""

    fields: tuple[str, ...]
    open: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The word as one, as in an assignment."""
        return " ".join(self.fields)


def _document(match: re.Match[str], variables: Mapping[str, str | None]) -> str | None:
    """What the lines of a here-document come to; None where only a run knows."""
    body = re.sub(r"^\t+", "", match.group(4), flags=re.MULTILINE) if match.group(1) else match.group(4)
    if match.group(2):
        return body
    made = expand('"' + body.replace('"', '\\"') + '"', variables) if '\\"' not in body else None
    # A script that is written like this may name variables of its own.
    is_known = made is not None and (not made.open or (body.startswith("#!") and "$(" not in made.open))
    return made.text if made is not None and is_known else None


def expand(raw: str, variables: Mapping[str, str | None]) -> Expanded:
    """What the word stands for. A variable that is not known, or a command in it, keeps the word open.

    So does one that fills in more than anybody's list is long (``MOST_FILLED`` characters in all).
    """
    fields: list[str] = []
    unknown: list[str] = []
    current, begun, quoted, position, filled = "", False, False, 0, 0
    while position < len(raw):
        ch = raw[position]
        if plain := _PLAIN.match(raw, position):
            current, begun, position = current + plain.group(), True, plain.end()
        elif ch == "\\" and position + 1 < len(raw):
            following = raw[position + 1]
            if following != "\n":
                current += following if not quoted or following in '"\\$`' else ch + following
            position, begun = position + 2, True
        elif ch == '"':
            quoted, begun, position = not quoted, True, position + 1
        elif ch == "'" and not quoted:
            end = raw.index("'", position + 1)
            current, begun, position = current + raw[position + 1 : end], True, end + 1
        elif ch == "~" and not current and not quoted:
            unknown.append("HOME")
            current, begun, position = "~", True, position + 1
        elif match := _VARIABLE.match(raw, position):
            name = match.group(1) or match.group(4)
            value = variables.get(name) if name in variables else None
            if match.group(2) and (name not in variables or (value == "" and match.group(2) == ":-")):
                default = expand(match.group(3), variables)
                value = None if default.open else default.text
            filled += len(value or "")
            if value is None or filled > MOST_FILLED:
                unknown.append(name)
                value = match.group()
            pieces = [value] if quoted or "${{" in value else re.split(r"\s+", value)
            current += pieces[0]
            for piece in pieces[1:]:
                fields, current = [*fields, current] if current else fields, piece
            begun, position = begun or bool(value), match.end()
        elif (
            (match := _ALL_OF_ARRAY.match(raw, position))
            and (values := variables.get(f"{match.group(1)}[@]")) is not None
            and (filled := filled + len(values)) <= MOST_FILLED
        ):
            first, *others = values.split(PARTED)
            current += first
            for value in others:
                fields, current = [*fields, current], value
            begun, position = begun or bool(values), match.end()
        elif (folder := variables.get("PWD")) is not None and raw.startswith("$(pwd)", position):
            current, begun, position = current + folder, True, position + len("$(pwd)")
        elif (match := _HERE_DOCUMENT.match(raw, position)) and (
            (text := _document(match, variables)) is not None and (filled := filled + len(text)) <= MOST_FILLED
        ):
            current, begun, position = current + text, True, match.end()
        elif match := _ARITHMETIC.match(raw, position):
            products = [[int(one) for one in part.split("*")] for part in match.group(1).split("+")]
            current += str(sum(math.prod(product) for product in products))
            begun, position = True, match.end()
        elif raw.startswith("${{", position):
            # An expression of a CI's, filled in before there is a shell.
            unknown.append("${{")
            end = raw.find("}}", position) + 2 if "}}" in raw[position:] else len(raw)
            current, begun, position = current + raw[position:end], True, end
        elif ch in "$`" or (_PROCESS.match(raw, position) and not quoted):
            unknown.append("$(")
            end = _nested_end(raw, position + 1, "(", ")", 0) if ch in "<>" else _expansion_end(raw, position, 0)
            current, begun, position = current + raw[position:end], True, end
        else:
            current, begun, position = current + ch, True, position + 1
    if begun and (current or not fields):
        fields.append(current)
    return Expanded(tuple(fields), tuple(unknown))
