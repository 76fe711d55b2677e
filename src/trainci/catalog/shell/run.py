"""Pure: what a shell script would end with if a command of it failed, found by walking through its tree.

Nothing is run: a command fails or succeeds as the caller says, and where that is not known, both are followed.
Rules of errexit, pipes and traps: bash(1), SHELL GRAMMAR and SHELL BUILTIN COMMANDS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from fnmatch import fnmatchcase

from trainci.catalog.shell.commands import Commands, TooMany
from trainci.catalog.shell.numbers import number as known_number
from trainci.catalog.shell.parser import parse
from trainci.catalog.shell.state import SAYS, UNSEEN, State, looks_at, lost, not_piped, piped, shown, unquoted
from trainci.catalog.shell.tree import (
    AndOr,
    Background,
    Case,
    Function,
    Group,
    If,
    Loop,
    Node,
    Pipeline,
    Simple,
    simple_commands,
)
from trainci.shell_words import Unreadable

_MOST_STATES = 64
_MOST_STEPS = 40_000
_DEEPEST = 40


class Walk(Commands):
    """Walks through a script."""

    def ends(self, script: Sequence[Node]) -> set[State]:
        """Every way to its end.

        :raises TooMany: there are too many.
        """
        states = self._body(script, {State()}, checked=False, depth=0)
        return {after for state in states for after in self._at_exit(state)}

    def _at_exit(self, state: State) -> Iterable[State]:
        if state.on_exit is None:
            return [state]
        quiet = state._replace(ended="", on_exit=None, errexit=False, trapped=state.status)
        what = ("this trap exits with 0 whatever failed", "Leave its `exit 0` out.")
        return [
            lost(state, state.on_exit[0], *what, now=end.status)
            if end.ended == "exit"
            else end._replace(status=state.status)
            for end in self._text(state.on_exit[1], {quiet}, 1)
        ]

    def _text(self, text: str, states: set[State], depth: int) -> set[State]:
        try:
            return self._body(parse(text), states, checked=True, depth=depth)
        except Unreadable:
            return states

    def _body(self, body: Sequence[Node], states: set[State], *, checked: bool, depth: int) -> set[State]:
        if depth > _DEEPEST:
            raise TooMany
        done: set[State] = set()
        for node in body:
            live = {state for state in states if not state.ended}
            done |= states - live
            if not live:
                states = set()
                break
            self.steps += len(live)
            if self.steps > _MOST_STEPS:
                raise TooMany
            states = {end for state in live for end in self._one(node, state, checked, depth)}
            states = {self._goes_on(node, state, checked) for state in states}
            if len(states) + len(done) > _MOST_STATES:
                raise TooMany
        return done | states

    def _goes_on(self, node: Node, state: State, checked: bool) -> State:
        """After a command of a list: with errexit a failure ends the script."""
        exempt = checked or isinstance(node, (AndOr, Background)) or (isinstance(node, Pipeline) and node.negated)
        if state.ended or not state.status or exempt:
            return state
        if state.on_error is not None:
            line, text = state.on_error
            end = next(iter(self._text(text, {state._replace(on_error=None, status=0)}, 1)))
            what = ("this trap exits with 0 whatever failed", "Leave its `exit 0` out.")
            if end.ended:
                return lost(end._replace(status=state.status), line, *what, now=end.status)
        return state._replace(ended="exit") if state.errexit else state

    def _one(self, node: Node, state: State, checked: bool, depth: int) -> set[State]:
        """What may be after one command that begins in ``state``."""
        what = ("the script goes on after this command fails", "Write `set -e` above it.")
        state = lost(state, state.failed_at, *what)
        if isinstance(node, Simple):
            return {not_piped(end) for end in self._simple(node, state, checked, depth)}
        if isinstance(node, Function):
            return {state._replace(status=0, functions=(*state.functions, (node.name, node)))}
        if isinstance(node, Group):
            return self._group(node, state, checked, depth)
        if isinstance(node, AndOr):
            return self._and_or(node, state, checked, depth)
        if isinstance(node, Pipeline):
            return self._pipeline(node, state, checked, depth)
        if isinstance(node, Background):
            ends = self._subshell([node.body], state, True, depth)
            return {
                lost(end, node.line, *UNSEEN, now=0)._replace(behind=state.behind or end.status > 0) for end in ends
            }
        if isinstance(node, If):
            return self._if(node, state, checked, depth)
        if isinstance(node, Loop):
            return self._loop(node, state, checked, depth)
        return self._case(node, state, checked, depth)

    def _subshell(self, body: Sequence[Node], state: State, checked: bool, depth: int) -> set[State]:
        """A shell of its own: how it ended and what became of the failure is all that it leaves."""
        ends = self._body(body, {state._replace(on_exit=None, status=0)}, checked=checked, depth=depth + 1)
        return {
            state._replace(
                status=end.status,
                failed_at=end.failed_at,
                lost=end.lost,
                seen=end.seen,
                ran=end.ran,
                doubt=end.doubt,
            )
            for end in ends
        }

    def _group(self, node: Group, state: State, checked: bool, depth: int) -> set[State]:
        if node.subshell:
            return self._subshell(node.body, state, checked, depth)
        return self._body(node.body, {state}, checked=checked, depth=depth + 1)

    def _and_or(self, node: AndOr, state: State, checked: bool, depth: int) -> set[State]:
        lefts = self._one(node.left, state, True, depth + 1)
        found: set[State] = set()
        for left in lefts:
            if left.ended or (left.status == 0) is (node.operator == "||"):
                found.add(left)
                continue
            if node.operator == "||":
                what = (f"`|| {shown(node.right)}` throws the exit code away", "Leave it out.")
                left = lost(left, node.line, *what)
            rights = self._body([node.right], {left}, checked=checked, depth=depth + 1)
            if node.operator == "||" and any(map(self._runs, simple_commands([node.right]))):
                rights = {right._replace(seen=right.seen or left.failed_at > 0) for right in rights}  # another try
            found |= rights
        return found

    def _pipeline(self, node: Pipeline, state: State, checked: bool, depth: int) -> set[State]:
        found = {not_piped(state)._replace(status=0)}
        alone = len(node.parts) == 1
        for number, part in enumerate(node.parts):
            last = number == len(node.parts) - 1
            after: set[State] = set()
            for before in found:
                if not last and before.failed_at and self._tells(part, before.noted):
                    before = before._replace(seen=True)
                ends = (
                    self._one(part, before, True, depth + 1)
                    if alone
                    else self._subshell([part], before, True, depth)
                )
                # A filter that finds nothing is no failure, but where the script asks whether it does.
                asks = checked and not self._once
                if number and not asks and not any(map(self._runs, simple_commands([part]))):
                    ends = {end for end in ends if not end.status} or ends
                for end in ends:
                    end = end if alone else piped(end, number, end.status)
                    if not last and not state.pipefail:
                        what = (
                            "the exit code of a pipe is that of its last program",
                            "Write `set -o pipefail` above it.",
                        )
                        end = lost(end, node.line, *what, now=0)
                    after.add(end._replace(status=before.status) if before.status and not end.status else end)
            found = after
        if not node.negated:
            return found
        if checked:
            return {end if end.ended else end._replace(status=int(not end.status)) for end in found}
        what = ("`!` turns good and bad round", "Leave it out, or write `exit 1` where it must not succeed.")
        return {end if end.ended else lost(end, node.line, *what, now=int(not end.status)) for end in found}

    def _tells(self, part: Node, noted: Set[str]) -> bool:
        """Whether a part of a pipe gives the next one to read how an earlier command ended."""
        return any(
            node.words[0] in SAYS and looks_at(node.words, noted) for node in simple_commands([part]) if node.words
        )

    def _if(self, node: If, state: State, checked: bool, depth: int) -> set[State]:
        found: set[State] = set()
        asked = {state}
        for condition, body in node.branches:
            ends = self._body(condition, asked, checked=True, depth=depth + 1)
            found |= {end for end in ends if end.ended}
            live = {end for end in ends if not end.ended}
            good = {end for end in live if not end.status}
            found |= self._body(body, good, checked=checked, depth=depth + 1)
            what = ("the `if` around it goes on where it fails", "Write `else exit 1`.")
            asked = {lost(end, node.line, *what) for end in live - good}
        if not node.otherwise:
            return found | {end._replace(status=0) for end in asked}
        return found | (self._body(node.otherwise, asked, checked=checked, depth=depth + 1) if asked else set())

    def _case(self, node: Case, state: State, checked: bool, depth: int) -> set[State]:
        word = known_number(node.word, state.status, dict(state.variables)) if self._around.counts else None
        bodies = [body for patterns, body in node.branches if word is None or _takes(patterns, word)]
        bodies = bodies[: 1 if word is not None else None]
        covers = any("*" in patterns for patterns, _ in node.branches)
        nothing: list[Sequence[Node]] = [] if covers or (bodies and word is not None) else [()]
        begin = state._replace(status=0, doubt=state.doubt or (node.line if word is None else 0))
        found = (self._body(body, {begin}, checked=checked, depth=depth + 1) for body in [*bodies, *nothing])
        return {end for ends in found for end in ends}

    def _loop(self, node: Loop, state: State, checked: bool, depth: int) -> set[State]:
        if node.words == ():
            return {state._replace(status=0)}
        found = {state._replace(status=0)}
        rounds = 1 if node.words and len(node.words) == 1 and not re.search(r"[*?\[$`{]", node.words[0]) else 2
        for _ in range(rounds):
            after: set[State] = set()
            for before in {one for one in found if not one.ended}:
                asked = {before}
                if node.condition:
                    # A command that is asked again and again until it succeeds is not lost.
                    asked = {
                        one._replace(status=0)
                        for one in self._body(node.condition, asked, checked=True, depth=depth + 1)
                    }
                    # One that gives up in the end may be.
                    if not any(isinstance(one, AndOr) for one in node.condition):
                        asked = {
                            one if not one.failed_at or before.failed_at else one._replace(seen=True)
                            for one in asked
                        }
                after |= self._body(node.body, asked, checked=checked, depth=depth + 1)
            found = {one for one in found if one.ended} | after
        return {one._replace(ended="") if one.ended in ("break", "continue") else one for one in found}


def _takes(patterns: Sequence[str], word: int) -> bool:
    """Whether a branch of a ``case`` is that of the number ``word``."""
    return any(fnmatchcase(str(word), unquoted(pattern)) for pattern in patterns)
