"""Pure: what single commands of a shell script do on the way through it.

Nothing is run: a command fails or succeeds as the caller says, and where that is not known, both are followed.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from trainci.catalog.shell.numbers import counted_up, holds, number
from trainci.catalog.shell.parser import parse
from trainci.catalog.shell.state import (
    ARITHMETIC,
    SAYS,
    SETTINGS,
    SOURCES,
    State,
    assigned,
    exits,
    looks_at,
    lost,
    names_set,
    script_of,
    set_options,
    trapped,
    unquoted,
    waits,
)
from trainci.catalog.shell.tree import Node, Simple
from trainci.shell_words import Unreadable

_MAKES_ENVIRONMENT = re.compile(r"(?:activate|bashrc|profile|conda\.sh)\W*$")


class TooMany(Exception):
    """There are more ways through the script than anybody follows."""


@dataclass(frozen=True)
class Around:
    """What is around a script.

    ``sourced`` are the texts of the files that it reads by ``source``, by the word that names each; ``counts``: the
    numbers in its variables are followed, which makes more ways through it.
    """

    sourced: tuple[tuple[str, str], ...] = ()
    counts: bool = True


class Commands(ABC):
    """Walks through single commands; ``status`` answers for one with its own, or None where it may have any.

    ``runs``: the command may be a test. ``once``: what failed once succeeds from then on. What is ``expected`` to
    fail does so, and nothing of it is lost.
    """

    def __init__(
        self,
        status: Callable[[Simple], int | None],
        runs: Callable[[Simple], bool],
        around: Around,
        *,
        once: bool = False,
        expected: Collection[Simple] = (),
    ) -> None:
        self._expected = {(node.line, node.words) for node in expected}
        self._status = status
        self._once = once
        self._around = around
        self.steps = 0
        self._runs = runs
        self.reached: set[Simple] = set()

    @abstractmethod
    def _body(self, body: Sequence[Node], states: set[State], *, checked: bool, depth: int) -> set[State]:
        """Every way through commands that run one after another."""

    @abstractmethod
    def _text(self, text: str, states: set[State], depth: int) -> set[State]:
        """Every way through a script that stands in a word."""

    @abstractmethod
    def _subshell(self, body: Sequence[Node], state: State, checked: bool, depth: int) -> set[State]:
        """Every way through a shell of its own."""

    def _simple(self, node: Simple, state: State, checked: bool, depth: int) -> set[State]:
        states = {state}
        for script in node.substituted:
            states = {end for one in states for end in self._subshell(script, one, True, depth)}
        if not node.words:
            own = bool(node.substituted)
            return {
                self._assigned(node.assigned, _noted(node, one))._replace(status=one.status if own else 0)
                for one in states
            }
        what = ("the exit code of what stands in `$(…)` goes nowhere", "Assign it to a variable first.")
        states = {lost(one, node.line, *what, now=0) for one in states} if node.substituted else states
        return {end for one in states for end in self._command(node, one, checked, depth)}

    def _assigned(self, texts: Sequence[str], state: State) -> State:
        return assigned(texts, state) if self._around.counts else state

    def _command(self, node: Simple, state: State, checked: bool, depth: int) -> set[State]:
        name = node.words[0]
        known = holds(node.words, state.status, dict(state.variables)) if self._around.counts else None
        if known is not None:
            return {state._replace(status=int(not known))}
        if name == "wait":
            return waits(node, state)
        told = (
            name in ("exit", "return") and number(node.words[-1], state.status, dict(state.variables)) is not None
        )
        if state.failed_at and name not in SAYS and not told and looks_at(node.words, state.noted):
            state = state._replace(seen=True)
        called = dict(state.functions).get(name)
        if called is not None:
            return self._until_return([called.body], state, checked, depth)
        sourced = dict(self._around.sourced).get(node.words[1]) if name in SOURCES and node.words[1:] else None
        if sourced is not None:
            self.reached.add(node)
            try:
                return self._until_return(parse(sourced, node.line, flat=True), state, checked, depth)
            except Unreadable:
                return {state._replace(status=0)}
        if name in ("exit", "return"):
            return {exits(name, node, state)}
        if name in ("break", "continue"):
            return {state._replace(status=0, ended=name)}
        if name == "set":
            return {set_options(node.words[1:], state)}
        if name == "trap" and len(node.words) > 2:
            return {trapped(node, state)}
        if name == "exec" and len(node.words) > 1:
            inner = replace(node, words=node.words[1:])
            return {end._replace(ended="exit") for end in self._command(inner, state, True, depth)}
        if name == "eval":
            return self._text(" ".join(map(unquoted, node.words[1:])), {state}, depth + 1)
        if script := script_of(node.words, node.given):
            options, given = script
            try:
                inside = parse(unquoted(given), node.line)
            except Unreadable:
                return {state._replace(status=0)}
            own = set_options(options, state._replace(errexit=False, pipefail=False, on_error=None, functions=()))
            return {
                end._replace(
                    errexit=state.errexit,
                    pipefail=state.pipefail,
                    on_error=state.on_error,
                    functions=state.functions,
                )
                for end in self._subshell(inside, own, False, depth)
            }
        return self._external(node, state)

    def _until_return(self, body: Sequence[Node], state: State, checked: bool, depth: int) -> set[State]:
        ends = self._body(body, {state}, checked=checked, depth=depth + 1)
        return {end._replace(ended="") if end.ended == "return" else end for end in ends}

    def _external(self, node: Simple, state: State) -> set[State]:
        name = node.words[0]
        state = _noted(node, state)
        if name in SETTINGS:
            state = self._assigned([word for word in node.words[1:] if re.match(r"\w+\+?=", word)], state)
        else:
            self.reached.add(node)
        if name in ARITHMETIC and state.variables:
            state = state._replace(variables=tuple(sorted(counted_up(node.words, dict(state.variables)).items())))
        elif name in (*SOURCES, "read", "mapfile", "eval", "printf"):
            state = state._replace(variables=())
        if (node.line, node.words) in self._expected:
            return {state._replace(status=1, ran=True)}
        status = self._status(node)
        if status and self._once and state.failed_at:
            status = 0
        ran = state.ran or self._runs(node)
        if status is None:
            doubting = state._replace(doubt=state.doubt or node.line, ran=ran)
            return {doubting._replace(status=0), doubting._replace(status=1)}
        failed_at = node.line if status else state.failed_at
        if name in SOURCES and not _MAKES_ENVIRONMENT.search(" ".join(node.words)):
            # What a file of the repository sets is not read here, and may well be these.
            state = state._replace(errexit=True, pipefail=True)
        return {state._replace(status=status, failed_at=failed_at, ran=ran)}


def _noted(node: Simple, state: State) -> State:
    """``state``, in which what a command sets may say of a failure."""
    return state._replace(noted=state.noted | names_set(node)) if state.failed_at else state
