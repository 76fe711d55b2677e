"""Pure: one way through a shell script, and what single commands of the shell make of it."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import NamedTuple

from trainci.catalog.shell.numbers import PIPE, number
from trainci.catalog.shell.tree import Function, Node, Simple

# Programs to which ``-c`` gives a script.
SHELLS = ("bash", "sh", "dash", "zsh")


class State(NamedTuple):
    """One way through the script so far.

    ``status`` is that of the last command; ``ended`` the word that ends what it stands in (``exit``, ``return``,
    ``break``); ``trapped`` is the status that a trap at the exit began with. ``failed_at`` is the line of the
    command that failed, ``lost`` is where its failure was dropped, ``noted`` are the variables that were set
    since, and ``seen``: the script looks at it by itself. ``ran``: a command that may be a test was run, ``doubt``
    is the line of the first condition that was followed. ``behind``: what failed ran in the background.
    ``variables`` are those whose number is known: a status that was kept, a count.
    """

    status: int = 0
    ended: str = ""
    failed_at: int = 0
    lost: tuple[int, str, str] | None = None
    seen: bool = False
    noted: frozenset[str] = frozenset()
    ran: bool = False
    doubt: int = 0
    errexit: bool = False
    pipefail: bool = False
    on_exit: tuple[int, str] | None = None
    on_error: tuple[int, str] | None = None
    trapped: int | None = None
    behind: bool = False
    variables: tuple[tuple[str, int], ...] = ()
    functions: tuple[tuple[str, Function], ...] = ()


def lost(state: State, line: int, what: str, mend: str, now: int | None = None) -> State:
    """``state`` whose failure is dropped here, if there is one; its status is ``now``."""
    dropped = state.failed_at and state.status and not state.lost
    after = state._replace(lost=(line, what, mend)) if dropped else state
    return after if now is None else after._replace(status=now)


def trapped(node: Simple, state: State) -> State:
    """After ``trap TEXT SIGNAL…``."""
    text, signals = unquoted(node.words[1]), {word.removeprefix("SIG") for word in node.words[2:]}
    text = "" if text == "-" else text
    if signals & {"EXIT", "0"}:
        state = state._replace(on_exit=(node.line, text) if text else None)
    if "ERR" in signals:
        state = state._replace(on_error=(node.line, text) if text else None)
    return state._replace(status=0)


def shown(node: Node) -> str:
    """A command as a sentence names it."""
    if isinstance(node, Simple):
        shown = node.words[:2] if node.words[:1] == ("exit",) else node.words[:1] or node.assigned[:1]
        return " ".join(shown)
    return "…"


SOURCES = ("source", ".")
SETTINGS = ("alias", "declare", "export", "local", "readonly", "shopt", "typeset", "ulimit", "umask", "unset")
ARITHMETIC = ("((", "let")
_NAME = re.compile(r"[A-Za-z_]\w*")
_REFERENCE = re.compile(r"\$\{?[#!]?([A-Za-z_]\w*)")
_COUNTED = re.compile(r"([A-Za-z_]\w*)(?= *(?:\+\+|--|[-+]?=(?!=)))|(?<=\+\+)([A-Za-z_]\w*)")
_MADE = re.compile(r"([A-Za-z_]\w*)(?:\[[^]]*\])?\+?=")
SAYS = ("echo", "printf")
"""Show what they are given, and look at nothing."""


def looks_at(words: Sequence[str], noted: Set[str]) -> bool:
    """Whether a command asks how an earlier one ended, as the variables ``noted`` may say."""
    text = " ".join(words)
    named = _NAME if words[0] in ARITHMETIC else _REFERENCE
    return bool(re.search(r"\$\?|PIPESTATUS", text)) or not noted.isdisjoint(named.findall(text))


def names_set(node: Simple) -> frozenset[str]:
    """The variables that a command sets, but for those that are told which process it started."""
    name, words = (node.words[0], node.words[1:]) if node.words else ("", node.assigned)
    if name in ARITHMETIC:
        return frozenset(one or other for one, other in _COUNTED.findall(" ".join(words)))
    made = (_MADE.match(word) for word in words) if not name or name in SETTINGS else ()
    return frozenset(found[1] for found in made if found and not re.search(r"=[\"']?\$!", found.string))


def exits(name: str, node: Simple, state: State) -> State:
    """After ``exit`` or ``return``."""
    said = node.words[1] if len(node.words) > 1 else ""
    if not said:
        return state._replace(ended=name, status=state.status if state.trapped is None else state.trapped)
    known = number(said, state.status, dict(state.variables))
    if known is not None:
        return state._replace(status=known % 256, ended=name)
    # Whatever it computes, it computed from what it saw.
    return state._replace(status=int(state.failed_at > 0), ended=name)


def set_options(words: Sequence[str], state: State) -> State:
    """After ``set WORDS…``."""
    for at, word in enumerate(words):
        on = word.startswith("-")
        if not word.startswith(("-", "+")) or word.startswith("--"):
            continue
        if "e" in word[1:]:
            state = state._replace(errexit=on)
        if "o" in word[1:] and at + 1 < len(words):
            if words[at + 1] == "errexit":
                state = state._replace(errexit=on)
            elif words[at + 1] == "pipefail":
                state = state._replace(pipefail=on)
    return state._replace(status=0)


def scripts_in(node: Simple) -> list[str]:
    """The scripts that a command is given: ``eval TEXT``, ``bash -c TEXT``, ``bash << END``."""
    if node.words[:1] == ("eval",):
        return [" ".join(map(unquoted, node.words[1:]))]
    inner = script_of(node.words, node.given)
    return [unquoted(inner[1])] if inner else []


UNSEEN = ("what runs in the background ends unseen", "`wait` for it by its number.")


def waits(node: Simple, state: State) -> set[State]:
    """After ``wait``: the status of the last that it is told to wait for, 0 where that is nothing in particular."""
    told = [word for word in node.words[1:] if not word.startswith("-")]
    if not state.behind or len(node.words) == 1:
        return {state._replace(status=0)}
    failed = state._replace(status=1, lost=None, behind=False)
    if len(told) < 2:
        return {failed}
    what = ("`wait` for several tells how the last of them ended", "Wait for each by itself.")
    return {failed, lost(failed, node.line, *what, now=0)}


def assigned(texts: Sequence[str], state: State) -> State:
    """After assignments ``NAME=VALUE``: what is known of the variables."""
    if not texts:
        return state
    variables = dict(state.variables)
    for text in texts:
        name, _, value = text.partition("=")
        found = None if name.endswith("+") else number(value, state.status, variables)
        variables.pop(name.rstrip("+"), None)
        if found is not None:
            variables[name] = found
    return state._replace(variables=tuple(sorted(variables.items())))


def piped(state: State, part: int, status: int) -> State:
    """After one part of a pipe."""
    return state._replace(variables=(*state.variables, (f"{PIPE}[{part}]", status)))


def not_piped(state: State) -> State:
    """After a command, of which a pipe before it tells nothing."""
    left = tuple(one for one in state.variables if not one[0].startswith(PIPE))
    return state if len(left) == len(state.variables) else state._replace(variables=left)


def script_of(words: Sequence[str], given: str = "") -> tuple[list[str], str] | None:
    """The options and the text, as written, of ``bash -euc TEXT``, also below what starts it; None for another.

    ``given``: what it is to read, which a shell without a file of its own runs.
    """
    if not words or words[0] in SAYS:
        return None
    if joined := _joined(words):
        return [], joined
    for start, word in enumerate(words):
        name = word.rpartition("/")[2]
        options = words[start + 1 : -1]
        # `flock FILE -c TEXT` and `su -c TEXT` start the user's shell.
        if name in SHELLS or (start == 0 and name in ("flock", "su", "runuser")):
            for at, option in enumerate(options, start=start + 1):
                if option.startswith("-") and not option.startswith("--") and "c" in option:
                    before = [one for one in words[start + 1 : at] if name in SHELLS]
                    return [*before, option.replace("c", "")], words[at + 1]
                if name in SHELLS and not option.startswith(("-", "+")) and words[at - 1] not in ("-o", "+o"):
                    return None
            if given and name in SHELLS and (start == len(words) - 1 or words[-1].startswith(("-", "+"))):
                return [one for one in words[start + 1 :] if one not in ("-", "-s")], given
    return None


def _joined(words: Sequence[str]) -> str:
    """What a program makes one line for a shell of: the words up to ``:::`` of GNU parallel; empty for another."""
    if words[0].rpartition("/")[2] != "parallel" or len(words) < 2:
        return ""
    end = next((at for at, word in enumerate(words) if word.startswith(":::")), len(words))
    # Whatever its options are, its command begins with the first word that a script can begin with.
    first = next((at for at, word in enumerate(words[1:end], start=1) if re.match(r"['\"]?[A-Za-z]", word)), end)
    return " ".join(map(unquoted, words[first:end])).replace("{}", "x")


def unquoted(word: str) -> str:
    """``word`` without the quotes around it."""
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word
