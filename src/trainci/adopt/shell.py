"""The commands of a shell script, each with the environment that the lines before it made. Nothing is run."""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from trainci.adopt.shell_blocks import MOST_TURNS, Branches, Group, Loop, Part
from trainci.adopt.shell_statements import IN_BLOCK, Statement, read_statements
from trainci.adopt.tree import CLONED
from trainci.shell_words import MOST_FILLED, PARTED, Token, Unreadable, expand, tokens

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=", re.DOTALL)
_SETTINGS = {
    "set",
    "shopt",
    "trap",
    "true",
    ":",
    "pwd",
    "exit",
    "wait",
    "local",
    "ulimit",
    "umask",
    "read",
    "mapfile",
}
_VENV = re.compile(r"(.*/bin)/activate")
# A folder of an environment of Python's by its name; of another one first on PATH come compilers and tools.
_ENVIRONMENT = re.compile(
    r"(?:^|/)[^/]*(?:venv|env|conda|mamba|miniforge|pyenv|python|uv)[^/]*(?:/|$)", re.IGNORECASE
)
_FIRST_ON_PATH = re.compile(r"PATH=[\"']?([^$:\"']+):\$\{?PATH\}?[\"']?")
# Known wherever a job runs, so a shell may fill it in there.
_NAMED = re.compile(r"\$\{?([A-Za-z_]\w*)")
# Each group within groups is read again.
_MOST_DEPTH = 8
_CHECKOUT = ("GITHUB_WORKSPACE", "BUILDKITE_BUILD_CHECKOUT_PATH")


@dataclass(frozen=True)
class Command:
    """One command. ``raw`` is as written; ``words`` and ``env`` have constants filled in.

    ``shell`` are assignments as written that only a shell can make, ``open`` names what ``words`` leave open,
    ``local`` are constants of the script that ``raw`` names and the environment does not have,
    ``trouble`` says why the command cannot stand alone, ``folder`` is where it runs, relative to the root.
    """

    words: tuple[str, ...]
    raw: str
    line: int
    env: tuple[tuple[str, str], ...] = ()
    shell: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    folder: str = ""
    python: str = ""
    trouble: str = ""
    redirected: str = ""
    local: tuple[tuple[str, str], ...] = ()


@dataclass
class _State:
    """What earlier lines leave to later ones."""

    variables: dict[str, str | None]
    exported: dict[str, str] = field(default_factory=dict)
    shell: dict[str, str] = field(default_factory=dict)
    exports: set[str] = field(default_factory=set)
    folder: str = ""
    python: str = ""
    turns: int = 0
    depth: int = 0
    hidden: set[str] = field(default_factory=set)
    cloned: set[str] = field(default_factory=set)

    @property
    def known(self) -> dict[str, str | None]:
        """The variables, and at the root the working directory."""
        return {**({} if self.folder else {"PWD": "."}), **self.variables}


def commands(source: str, line: int, known: Mapping[str, str] | None = None, folder: str = "") -> list[Command]:
    """The commands of a script that starts at ``line`` of its file. ``known`` is the environment that it gets."""
    state = _State({**dict.fromkeys(_CHECKOUT, "."), **(known or {})}, folder=folder)
    try:
        return [one for statement in read_statements(source, line) for one in _followed(statement, state, source)]
    except Unreadable as error:
        return [_unreadable(source, error.line or line, str(error))]
    except RecursionError:
        return [_unreadable(source, line, "its brackets are nested too deeply")]


def _followed(statement: Statement, state: _State, script: str) -> Iterator[Command]:
    """The commands of a statement; those that a loop or a condition comes to, where its words are constants."""
    block = statement.block if statement.trouble == IN_BLOCK else None
    if isinstance(block, Loop) and (turns := block.turns(state.variables)) is not None:
        state.turns += len(turns)
        if state.turns <= MOST_TURNS:
            for value in turns:
                state.variables[block.name] = value
                yield from _within(block.body, state, script)
            return
    elif isinstance(block, Group) and state.depth < _MOST_DEPTH:
        inside = copy.deepcopy(state) if block.is_subshell else state
        inside.depth += 1
        yield from _within(block.body, inside, script)
        inside.depth -= 1
        return
    elif isinstance(block, Branches) and (part := block.taken(state.variables)) is not None:
        yield from _within(part, state, script)
        return
    yield from _command(statement, state)


def _within(part: Part, state: _State, script: str) -> Iterator[Command]:
    for statement in read_statements(part.source, part.line, script):
        yield from _followed(statement, state, script)


def _unreadable(source: str, line: int, why: str) -> Command:
    """A whole script as one command, of which only the words are known."""
    return Command(tuple(source.split()), source.strip(), line, trouble=why)


def _command(statement: Statement, state: _State) -> Iterator[Command]:
    if statement.trouble and len(statement.words) != 1:
        texts = tuple(field for token in statement.words for field in expand(token.text, state.variables).fields)
        # What it sets, if anything, only a run knows.
        state.hidden |= {match.group(1) for token in statement.words if (match := _ASSIGNMENT.match(token.text))}
        yield Command(texts, statement.raw, statement.line, trouble=statement.trouble, folder=state.folder)
        return
    rest = list(statement.words)
    env, shell = dict(state.exported), dict(state.shell)
    made: dict[str, str | None] = {}
    while rest and (match := _ASSIGNMENT.match(rest[0].text)):
        name = match.group(1)
        made[name], raw = _assigned(rest.pop(0), match, state)
        if (constant := made[name]) is None:
            shell[name] = raw
            env.pop(name, None)
        else:
            env[name] = constant
            shell.pop(name, None)
    if not rest:
        for name, constant in made.items():
            _assign(state, name, constant, shell.get(name, ""))
        return
    first = rest[0].text
    if first in ("export", "declare", "readonly", "typeset"):
        _export(rest[1:], state)
    elif first == "unset":
        for token in rest[1:]:
            state.variables[token.text] = ""
            state.exported[token.text] = ""
    elif first == "cd" and len(rest) == 2:
        target = expand(rest[1].text, state.variables)
        if target.open:
            yield Command(("cd",), statement.raw, statement.line, open=target.open)
        else:
            cloned = f"{CLONED}{target.text}" if target.text.split("/")[0] in state.cloned else target.text
            folder = posixpath.normpath(posixpath.join(state.folder, cloned))
            state.folder = "" if folder == "." else folder
    elif first in ("source", ".") and len(rest) == 2 and (venv := _VENV.fullmatch(rest[1].text)):
        state.python = f"{venv.group(1)}/python"
    elif first not in _SETTINGS:
        if (activated := _activated([token.text for token in rest])) is not None:
            state.python = activated
        variables = {**state.known, **made}
        words = [expand(token.text, variables) for token in rest]
        if " ".join(word.text for word in words[:2]) == "git clone":
            state.cloned.add(posixpath.basename(words[-1].text.rstrip("/")).removesuffix(".git"))
        needed = {name for word in words for name in word.open}
        named = {name for token in rest for name in _NAMED.findall(token.text)}
        wanted = _wanted(made.keys() | state.exports | (needed | named if needed else set()), shell)
        unclear = ", ".join(sorted(named & state.hidden))
        trouble = f"{unclear} is set in a loop, a condition or a function before it" if unclear else ""
        yield Command(
            words=tuple(field for word in words for field in word.fields),
            raw=_from(statement, rest[0]),
            line=statement.line,
            env=tuple(env.items()),
            shell=tuple(text for name, text in shell.items() if name in wanted),
            open=tuple(sorted({*needed, "|"} if statement.is_piped else needed)),
            folder=state.folder,
            python=state.python,
            trouble=statement.trouble or trouble,
            redirected=statement.redirected,
            local=tuple(_local(rest, state, env)),
        )


def _wanted(names: set[str], shell: Mapping[str, str]) -> set[str]:
    """The names with those that their assignments name, to the end."""
    waiting, found = list(names), set(names)
    while waiting:
        more = set(_NAMED.findall(shell.get(waiting.pop(), ""))) - found
        found |= more
        waiting += more
    return found


def _activated(words: list[str]) -> str | None:
    """The python of conda's environment that the command activates, "" for none any more; None for another."""
    if words[0] in ("conda", "mamba", "micromamba") and words[1:2] == ["deactivate"]:
        return ""
    conda = "conda"
    if words[0] in ("source", ".") and (venv := _VENV.fullmatch(words[1]) if words[1:] else None):
        conda = f"{venv.group(1)}/conda"
    elif words[:2] != ["source", "activate"] and words[1:2] != ["activate"]:
        return None
    if len(words) != 3 or not re.fullmatch(r"[\w./-]+", words[2]):
        return None
    starts = "micromamba run" if words[0] == "micromamba" else f"{conda} run --no-capture-output"
    return f"{starts} {'-p' if '/' in words[2] else '-n'} {words[2]} python"


def _assigned(token: Token, match: re.Match[str], state: _State) -> tuple[str | None, str]:
    """The constant that ``name=…`` or ``name+=…`` gives, None for none; and the assignments that a shell needs."""
    name, is_added = match.group(1), match.group().endswith("+=")
    raw, text = token.text, token.text[match.end() :]
    if is_added and name in state.shell:
        raw = f"{state.shell[name]} && {raw}"
    if not text.startswith("("):
        value, before = expand(text, state.known), (state.variables.get(name) or "") if is_added else ""
        is_open = value.open or (is_added and name in state.shell) or len(before) > MOST_FILLED
        return (None if is_open else before + value.text), raw
    within = tokens(text[1:-1], token.line)
    words = [expand(one.text, state.known) for one in within if one.kind == "word"]
    known = state.variables.get(f"{name}[@]") if is_added else None
    fields = [*(known.split(PARTED) if known else []), *(field for word in words for field in word.fields)]
    is_open = any(word.open for word in words) or (is_added and known is None) or len(known or "") > MOST_FILLED
    state.variables[f"{name}[@]"] = None if is_open else PARTED.join(fields)
    return None, raw


def _local(words: list[Token], state: _State, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(name for token in words for name in _NAMED.findall(token.text)):
        value = state.variables.get(name)
        if value is not None and name not in env and name not in _CHECKOUT:
            yield name, value


def _from(statement: Statement, first: Token) -> str:
    """The statement as written, without the assignments that lead it."""
    return statement.raw[statement.raw.find(first.text) :] if statement.words[0] is not first else statement.raw


def _assign(state: _State, name: str, value: str | None, raw: str) -> None:
    state.variables[name] = value
    state.hidden.discard(name)
    if value is None:
        state.shell[name] = raw
        state.exported.pop(name, None)
    else:
        state.shell.pop(name, None)
        if name in state.exported:
            state.exported[name] = value


def _export(words: list[Token], state: _State) -> None:
    for token in words:
        match = _ASSIGNMENT.match(token.text)
        name = match.group(1) if match else token.text
        if match:
            path = _FIRST_ON_PATH.fullmatch(token.text)
            if path and _ENVIRONMENT.search(path.group(1)):
                state.python = f"{path.group(1).rstrip('/')}/python"
                continue
            value = expand(token.text[match.end() :], state.known)
            _assign(state, name, None if value.open else value.text, token.text)
        state.exports.add(name)
        constant = state.variables.get(name)
        if constant is not None:
            state.exported[name] = constant
