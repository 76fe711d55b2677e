"""Pure: one way through a shell script, and what single commands of the shell make of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainci.catalog.shell_numbers import number
from trainci.catalog.shell_tree import Function, Node, Simple

# Programs to which ``-c`` gives a script.
SHELLS = ("bash", "sh", "dash", "zsh")


@dataclass(frozen=True)
class State:
    """One way through the script so far.

    ``status`` is that of the last command; ``ended`` the word that ends what it stands in (``exit``, ``return``,
    ``break``); ``trapped`` is the status that a trap at the exit began with. ``failed_at`` is the line of the
    command that failed, ``lost`` is where its failure was dropped, ``noted``: a variable was set since, and
    ``seen``: the script looks at it by itself. ``ran``: a command that may be a test was run, ``doubt`` is the line
    of the first condition that was followed. ``behind``: what failed ran in the background. ``variables`` are those
    whose number is known: a status that was kept, a count.
    """

    status: int = 0
    ended: str = ""
    failed_at: int = 0
    lost: tuple[int, str, str] | None = None
    seen: bool = False
    noted: bool = False
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
    after = replace(state, lost=(line, what, mend)) if dropped else state
    return after if now is None else replace(after, status=now)


def trapped(node: Simple, state: State) -> State:
    """After ``trap TEXT SIGNAL…``."""
    text, signals = unquoted(node.words[1]), {word.removeprefix("SIG") for word in node.words[2:]}
    text = "" if text == "-" else text
    if signals & {"EXIT", "0"}:
        state = replace(state, on_exit=(node.line, text) if text else None)
    if "ERR" in signals:
        state = replace(state, on_error=(node.line, text) if text else None)
    return replace(state, status=0)


def shown(node: Node) -> str:
    """A command as a sentence names it."""
    if isinstance(node, Simple):
        shown = node.words[:2] if node.words[:1] == ("exit",) else node.words[:1] or node.assigned[:1]
        return " ".join(shown)
    return "…"


SOURCES = ("source", ".")
SAYS = ("echo", "printf")
"""Show what they are given, and look at nothing."""


def looks_at(words: Sequence[str], noted: bool) -> bool:
    """Whether a command asks how an earlier one ended; ``noted``: some variable may say that."""
    text = " ".join(words)
    return bool(re.search(r"\$\?|PIPESTATUS", text)) or (noted and "$" in text)


def exits(name: str, node: Simple, state: State) -> State:
    """After ``exit`` or ``return``."""
    said = node.words[1] if len(node.words) > 1 else ""
    if not said:
        return replace(state, ended=name, status=state.status if state.trapped is None else state.trapped)
    known = number(said, state.status, dict(state.variables))
    if known is not None:
        return replace(state, status=known % 256, ended=name)
    # Whatever it computes, it computed from what it saw.
    return replace(state, status=int(state.failed_at > 0), ended=name)


def set_options(words: Sequence[str], state: State) -> State:
    """After ``set WORDS…``."""
    for at, word in enumerate(words):
        on = word.startswith("-")
        if not word.startswith(("-", "+")) or word.startswith("--"):
            continue
        if "e" in word[1:]:
            state = replace(state, errexit=on)
        if "o" in word[1:] and at + 1 < len(words):
            if words[at + 1] == "errexit":
                state = replace(state, errexit=on)
            elif words[at + 1] == "pipefail":
                state = replace(state, pipefail=on)
    return replace(state, status=0)


def scripts_in(words: Sequence[str]) -> list[str]:
    """The scripts that a command is given as words: ``eval TEXT``, ``bash -c TEXT``."""
    if words[:1] == ("eval",):
        return [" ".join(map(unquoted, words[1:]))]
    inner = script_of(words)
    return [unquoted(inner[1])] if inner else []


def waits(node: Simple, state: State) -> State:
    """After ``wait``: the status of what it is told to wait for, 0 where that is nothing in particular."""
    if state.behind and len(node.words) > 1:
        return replace(state, status=1, lost=None, behind=False)
    return replace(state, status=0)


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
    return replace(state, variables=tuple(sorted(variables.items())))


def script_of(words: Sequence[str]) -> tuple[list[str], str] | None:
    """The options and the text, as written, of ``bash -euc TEXT``, also below what starts it; None for another."""
    if not words or words[0] in SAYS:
        return None
    for start, word in enumerate(words):
        name = word.rpartition("/")[2]
        options = words[start + 1 : -1]
        # `flock FILE -c TEXT` and `su -c TEXT` start the user's shell.
        if name in SHELLS or (start == 0 and name in ("flock", "su", "runuser")):
            for at, option in enumerate(options, start=start + 1):
                if option.startswith("-") and not option.startswith("--") and "c" in option:
                    given = [one for one in words[start + 1 : at] if name in SHELLS]
                    return [*given, option.replace("c", "")], words[at + 1]
                if name in SHELLS and not option.startswith(("-", "+")) and words[at - 1] not in ("-o", "+o"):
                    return None
    return None


def unquoted(word: str) -> str:
    """``word`` without the quotes around it."""
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word
