"""The commands of a shell script, each with the environment that the lines before it made. Nothing is run."""

from __future__ import annotations

import copy
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from trainci.adopt.shell.activations import activated, first_on_path, sourced
from trainci.adopt.shell.blocks import MOST_TURNS, Branches, Group, Loop, Part
from trainci.adopt.shell.statements import IN_BLOCK, Statement, read_statements
from trainci.adopt.tree import CLONED, cloned_name
from trainci.globs import is_glob
from trainci.shell_words import MOST_FILLED, PARTED, Token, Unreadable, expand, tokens

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=", re.DOTALL)
_SETTINGS = frozenset(
    ("set", "shopt", "trap", "true", ":", "pwd", "exit", "wait", "local", "ulimit", "umask", "read", "mapfile")
)
# Known wherever a job runs, so a shell may fill it in there.
_NAMED = re.compile(r"\$\{?([A-Za-z_]\w*)")
# Each group within groups is read again.
_MOST_DEPTH = 8
_SAYS_TEST = re.compile(r"\b(?:pytest|unittest|torchrun|tests?/)")
# Why a command cannot stand alone, behind the names of the variables.
SET_BEFORE = " is set in a loop, a condition or a function before it"
_CHECKOUT = ("GITHUB_WORKSPACE", "BUILDKITE_BUILD_CHECKOUT_PATH")


@dataclass(frozen=True)
class Command:
    """One command. ``raw`` is as written; ``words`` and ``env`` have constants filled in.

    ``shell`` are assignments as written that only a shell can make, ``open`` names what ``words`` leave open,
    ``local`` are constants of the script that ``raw`` names and the environment does not have, ``loops`` those of
    them that go through the files of a glob, each with the folder that it is in. ``folder`` is where the command
    runs, relative to the root, ``within`` what changes to a folder that only a run knows; ``sourced`` are the files
    whose functions it may call. ``trouble`` says why it cannot stand alone.
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
    loops: tuple[tuple[str, str, str], ...] = ()
    within: str = ""
    sourced: tuple[str, ...] = ()


@dataclass
class _State:
    """What earlier lines leave to later ones."""

    variables: dict[str, str | None]
    exported: dict[str, str] = field(default_factory=dict)
    shell: dict[str, str] = field(default_factory=dict)
    exports: set[str] = field(default_factory=set)
    folder: str = ""
    before: str = ""
    within: str = ""
    python: str = ""
    turns: int = 0
    depth: int = 0
    hidden: set[str] = field(default_factory=set)
    cloned: set[str] = field(default_factory=set)
    loops: dict[str, tuple[str, str]] = field(default_factory=dict)
    sourced: tuple[str, ...] = ()

    @property
    def known(self) -> dict[str, str | None]:
        """The variables, and at the root the working directory."""
        return {**({} if self.folder else {"PWD": "."}), **self.variables}


def commands(
    source: str,
    line: int,
    known: Mapping[str, str] | None = None,
    folder: str = "",
    cloned: set[str] | None = None,
) -> list[Command]:
    """The commands of a script that starts at ``line`` of its file. ``known`` is the environment that it gets.

    ``cloned`` are the folders of other repositories before it, to which its own are added.
    """
    state = _State({**dict.fromkeys(_CHECKOUT, "."), **(known or {})}, folder=folder)
    state.cloned = set() if cloned is None else cloned
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
            outer = state.loops
            for value in turns:
                state.variables[block.name] = value
                state.loops = {**outer, block.name: (value, state.folder)} if is_glob(value) else outer
                yield from _within(block.body, state, script)
            state.loops = outer
            return
    elif isinstance(block, Group) and state.depth < _MOST_DEPTH and _is_open(statement):
        inside = copy.deepcopy(state) if block.is_subshell else state
        inside.cloned = state.cloned
        inside.depth += 1
        for command in _within(block.body, inside, script):
            yield replace(command, redirected=command.redirected or statement.redirected)
        inside.depth -= 1
        return
    elif isinstance(block, Branches) and (part := block.taken(state.variables)) is not None:
        yield from _within(part, state, script)
        return
    yield from _command(statement, state)


def _is_open(group: Statement) -> bool:
    """Whether its commands can stand alone: what all of them write into one file is of one piece."""
    file = group.redirected
    return not file or "GITHUB_" in file or "BASH_ENV" in file or _SAYS_TEST.search(group.raw) is not None


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
        sets = set(_set_by([token.text for token in statement.words]))
        env = dict(state.exported)
        named = {name for token in statement.words for name in _NAMED.findall(token.text)}
        unclear = named & state.hidden - sets
        yield Command(
            texts,
            statement.raw,
            statement.line,
            env=tuple(env.items()),
            shell=_needed(state.exports | named, state.shell),
            folder=state.folder,
            within=state.within,
            sourced=state.sourced,
            trouble=_set_before(unclear) or statement.trouble,
            redirected=statement.redirected,
            local=_local(named - sets - unclear, state, env),
        )
        state.hidden |= sets
        state.variables.update(dict.fromkeys(sets))
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
        if target.text == "-":
            state.folder, state.before, state.within = state.before, state.folder, ""
        elif target.open or (state.within and not target.text.startswith("/")):
            names = {*_NAMED.findall(statement.raw)}
            made_before = [f"export {text}" for text in _needed(names, state.shell)]
            constants = [f"export {name}={shlex.quote(value)}" for name, value in _local(names, state, {})]
            state.within = " && ".join(filter(None, (state.within, *made_before, *constants, statement.raw)))
        else:
            state.within = ""
            folder = posixpath.normpath(posixpath.join(state.folder.removeprefix(CLONED), target.text))
            in_cloned = not folder.startswith("/") and not state.cloned.isdisjoint(folder.split("/"))
            folder = f"{CLONED}{folder}" if in_cloned else folder
            state.before, state.folder = state.folder, "" if folder == "." else folder
    elif (python := sourced([token.text for token in rest])) is not None:
        state.python = python
    elif first not in _SETTINGS:
        if (python := activated([token.text for token in rest])) is not None:
            state.python = python
        variables = {**state.known, **made}
        words = [expand(token.text, variables) for token in rest]
        if first in ("source", ".") and len(words) == 2 and not words[1].open:
            state.sourced += (posixpath.normpath(posixpath.join(state.folder, words[1].text)),)
        if " ".join(word.text for word in words[:2]) == "git clone":
            state.cloned.add(cloned_name([word.text for word in words]))
        needed = {name for word in words for name in word.open}
        named = {name for token in rest for name in _NAMED.findall(token.text)}
        wanted = made.keys() | state.exports | (needed | named if needed else set())
        trouble = _set_before(named & state.hidden)
        yield Command(
            words=tuple(field for word in words for field in word.fields),
            raw=_from(statement, rest[0]),
            line=statement.line,
            env=tuple(env.items()),
            shell=_needed(wanted, shell),
            within=state.within,
            sourced=state.sourced,
            open=tuple(sorted({*needed, "|"} if statement.is_piped else needed)),
            folder=state.folder,
            python=state.python,
            trouble=statement.trouble or trouble,
            redirected=statement.redirected,
            local=_local(named, state, env),
            loops=tuple(
                (name, *loop) for name, loop in state.loops.items() if name in named or loop[0] in state.folder
            ),
        )


def _set_by(words: Sequence[str]) -> Iterator[str]:
    """The variables that a block sets."""
    for before, word in zip(("", *words), words, strict=False):
        if match := _ASSIGNMENT.match(word):
            yield match.group(1)
        elif before in ("for", "select", "read"):
            yield word


def _set_before(names: Set[str]) -> str:
    return f"{', '.join(sorted(names))}{SET_BEFORE}" if names else ""


def _needed(names: Set[str], shell: Mapping[str, str]) -> tuple[str, ...]:
    """The assignments of the names with those that they name, to the end, in their order."""
    waiting, found = list(names), set(names)
    while waiting:
        more = set(_NAMED.findall(shell.get(waiting.pop(), ""))) - found
        found |= more
        waiting += more
    return tuple(text for name, text in shell.items() if name in found)


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


def _local(named: Set[str], state: _State, env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    hidden = {*env, *_CHECKOUT, *state.loops}
    found = ((name, state.variables.get(name)) for name in sorted(named - hidden))
    return tuple((name, value) for name, value in found if value is not None)


def _from(statement: Statement, first: Token) -> str:
    """The statement as written, without the assignments that lead it."""
    return statement.raw[statement.raw.find(first.text) :] if statement.words[0] is not first else statement.raw


def _assign(state: _State, name: str, value: str | None, raw: str) -> None:
    state.variables[name] = value
    state.loops.pop(name, None)
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
            if (python := first_on_path(token.text)) is not None:
                state.python = python
                continue
            value = expand(token.text[match.end() :], state.known)
            _assign(state, name, None if value.open else value.text, token.text)
        state.exports.add(name)
        constant = state.variables.get(name)
        if constant is not None:
            state.exported[name] = constant
