"""The statements of a shell script: simple commands, what they are piped into, and blocks. Nothing is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from trainci.adopt.shell.blocks import BLOCKS, Block, read_block
from trainci.shell_words import Token, tokens

# `test & wait $!` is `test`: the script waits for it at once, and has its exit code.
_WAITED_FOR = re.compile(
    r"\s*(?:([A-Za-z_]\w*)=\$!\s*[;\n]\s*wait\s+\"?\$\{?\1\}?\"?|wait\s+\"?\$!\"?)\s*(?:[;\n]|$)"
)
READS_LINES = "it reads lines that stand in the script"
IN_BACKGROUND = "it runs in the background"
IN_BLOCK = "it stands in a loop, a condition or a function of the shell"


@dataclass
class Statement:
    """A statement as written. ``trouble``: why it cannot stand alone; ``block`` is set for loops and conditions.

    ``is_piped`` says that ``words`` are those of the last command of a pipeline, which ``raw`` is the whole of;
    ``below`` are the lines of its here-document, which end ``raw``.
    """

    words: list[Token]
    raw: str
    line: int
    trouble: str = ""
    redirected: str = ""
    block: Block | None = None
    is_piped: bool = False
    below: str = ""

    def cannot(self, why: str) -> None:
        """Say why it cannot stand alone; of a block nothing within it can, then."""
        if self.trouble in ("", IN_BLOCK):
            self.trouble = why


def read_statements(source: str, line: int, script: str = "") -> Iterator[Statement]:
    """The statements of ``source``, which is a part of ``script``."""
    listed = list(tokens(source, line))
    position = 0
    while position < len(listed):
        if listed[position].kind == "operator" and listed[position].text != "(":
            position += 1
            continue
        position, statement = _pipeline(source, listed, position, script or source)
        yield statement


def _pipeline(source: str, listed: list[Token], position: int, script: str) -> tuple[int, Statement]:
    """A command with what it is piped into, or has as its alternative."""
    start = listed[position].start
    position, statement = _simple(source, listed, position)
    while position < len(listed) and listed[position].text in ("|", "|&", "||", "&"):
        operator = listed[position].text
        if operator == "&":
            if not _WAITED_FOR.match(source, listed[position].end):
                statement.cannot(IN_BACKGROUND)
            return position + 1, statement
        position += 1
        while position < len(listed) and listed[position].text == "\n":
            position += 1
        if position == len(listed):
            break
        position, other = _simple(source, listed, position)
        first = other.words[0].text if other.words else ""
        if operator == "||":
            if not other.raw.startswith(("exit", "{ exit", "(exit")) and not _is_kept(other.raw, script):
                statement.cannot(f"its failure leads to `{_short(other.raw)}`")
        elif first == "xargs":
            # Its exit code is the pipeline's, and what it starts is the test.
            raw = _one_line(source[start : listed[position - 1].end])
            statement = Statement(other.words, raw, statement.line, other.trouble, is_piped=True)
        elif first != "tee":
            statement.cannot(f"it is piped into `{_short(other.raw)}`")
            statement.words += other.words
        else:
            statement.redirected = statement.redirected or other.words[-1].text
            continue
        if statement.trouble:
            statement.raw = _one_line(source[start : listed[position - 1].end]) + statement.below
    return position, statement


def _one_line(text: str) -> str:
    return re.sub(r"\s*\\\n\s*", " ", text)


def _is_kept(alternative: str, script: str) -> bool:
    """Whether a failure is only spoken of (``|| echo no``), or kept for the end (``|| code=1``, ``exit $code``)."""
    if alternative.startswith("echo "):
        return True
    match = re.fullmatch(r"([A-Za-z_]\w*)=(?!0\b)\S+", alternative)
    return match is not None and re.search(rf"\bexit\s+\"?\$\{{?{match.group(1)}\b", script) is not None


def _short(text: str) -> str:
    line = text.split("\n")[0]
    return line if len(line) <= 60 else f"{line[:57]}…"


def _simple(source: str, listed: list[Token], position: int) -> tuple[int, Statement]:
    first = listed[position]
    words: list[Token] = []
    redirected, trouble, end, below = "", "", first.end, ""
    block: Block | None = None
    if first.text == "(" or first.text in BLOCKS or _is_function(listed, position):
        start = position
        position, words = _block(listed, position)
        end = listed[position - 1].end
        block = read_block(source, listed[start:position])
        trouble = IN_BLOCK
    while position < len(listed) and listed[position].kind != "operator":
        token = listed[position]
        if token.kind == "redirection":
            target = listed[position + 1] if position + 1 < len(listed) else token
            if re.fullmatch(r"\d*<<-?", token.text):
                trouble = trouble or READS_LINES
                below = f"\n{token.document}\n{_bare(target.text)}"
            if target.kind == "word":
                redirected = redirected or ("" if target.text in ("1", "2", "/dev/null") else target.text)
                position += 1
        else:
            words.append(token)
        end = listed[position].end
        position += 1
    written = source[first.start : end]
    raw = (written if trouble == IN_BLOCK else _one_line(written)) + below
    return max(position, 1), Statement(words, raw, first.line, trouble, redirected, block, below=below)


def _bare(delimiter: str) -> str:
    return delimiter.strip("\"'")


def _is_function(listed: list[Token], position: int) -> bool:
    following = [token.text for token in listed[position + 1 : position + 3]]
    return listed[position].text == "function" or (listed[position].kind == "word" and following == ["(", ")"])


def _block(listed: list[Token], position: int) -> tuple[int, list[Token]]:
    """From an opening word to its closing one; all words within."""
    closing: list[str] = []
    words: list[Token] = []
    while position < len(listed):
        token = listed[position]
        starts: bool = (
            not words or listed[position - 1].kind == "operator" or words[-1].text in ("then", "do", "else")
        )
        starts = starts or (bool(closing) and words[-1].text in BLOCKS)
        if closing and token.text == closing[-1]:
            closing.pop()
        elif token.text == "(" and not (closing and closing[-1] == "esac"):
            closing.append(")")
        elif token.kind == "word" and token.text in BLOCKS and (starts or token.text == "[["):
            closing.append(BLOCKS[token.text])
        if token.kind == "word":
            words.append(token)
        position += 1
        following = listed[position].text if position < len(listed) else ""
        if not closing and following not in ("(", "{") and token.kind != "redirection" and token.text != "\n":
            break
    return position, words
