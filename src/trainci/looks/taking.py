"""Takes looks at a job: every process with its stacks and its collectives."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from trainci.host.processes import Process
from trainci.looks import answers, tree
from trainci.looks.asking import Asking
from trainci.model.look import Look, ProcessLook

# How long a process may take to answer: it may be stopped, or wait in the kernel, and then it never does.
_PATIENCE_S = 1.0
# It is stopped, or waits inside the kernel (proc(5)).
_CANNOT_RUN = ("T", "t", "D")


def look(command: int, folder: Path, at: float) -> Look:
    """What all processes of a job are doing; ``folder`` is where they answer, ``command`` its first process.

    To ask interrupts what a process waits for in C: most calls go on, a `sleep` of C or a long `write` does not.
    """
    found = tree.of_job(command)
    return Look(at, tuple(_seen(found, found, folder)))


class Glances:
    """Looks that change nothing: of each process that has not run since the look before it is known where it is."""

    def __init__(self, command: int, folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._ran: dict[Process, object] = {}
        self._known: dict[Process, ProcessLook] = {}

    def take(self, at: float) -> tuple[Look, frozenset[int], bool]:
        """A look; the processes of which is known only that they have not run since the first; whether any ran."""
        found = tree.of_job(self._command)
        first = not self._ran
        moved = [] if first else [each for each in found if tree.ran(each.pid) != self._ran.get(each)]
        # Who did not say what its groups do, and took all the time for it, is not asked for that again.
        mute = {each.pid for each, known in self._known.items() if known.mute}
        for seen, each in zip(_seen(moved, moved, self._folder, mute), moved, strict=True):
            self._known[each] = seen
        still = [each for each in found if each not in self._known]
        unknown = dict(zip(still, _seen(still, (), self._folder), strict=True))
        self._known = {each: self._known[each] for each in found if each in self._known}
        self._ran = {
            each: self._ran[each] if each in unknown and not first else tree.ran(each.pid) for each in found
        }
        processes = tuple({**unknown, **self._known}[each] for each in found)
        return Look(at, processes), frozenset(each.pid for each in still), bool(moved)


def _seen(
    found: Iterable[Process], asked: Collection[Process], folder: Path, mute: Collection[int] = ()
) -> list[ProcessLook]:
    """Each process that was ``found``, with the answers of those that were ``asked``."""
    # Before somebody is asked, who may go on then, and end.
    before = [_unasked(each) for each in found]
    stacks: dict[int, bytes] = {}
    groups: dict[int, bytes] = {}
    if asked:
        with contextlib.suppress(OSError), contextlib.closing(Asking(folder)) as asking:
            stacks = asking.stacks(asked, _PATIENCE_S)
            groups = asking.groups(
                (each for each in asked if stacks.get(each.pid) and each.pid not in mute), _PATIENCE_S
            )
    return [_with_answers(each, stacks, {**dict.fromkeys(mute, b""), **groups}) for each in before]


def _unasked(found: Process) -> ProcessLook:
    told = tree.rank(found.pid)
    # Of the rank itself, and not of what it started.
    rank, world_size = (None, None) if told == tree.rank(found.parent) else told
    words, waits_in = tree.words(found.pid), tree.waits_in(found.pid)
    return ProcessLook(found.pid, found.parent, words, found.state, waits_in, rank=rank, world_size=world_size)


def _with_answers(each: ProcessLook, stacks: dict[int, bytes], groups: dict[int, bytes]) -> ProcessLook:
    if said := stacks.get(each.pid):
        each = replace(each, threads=answers.threads(said))
    elif each.pid in stacks:
        each = replace(each, late=each.state not in _CANNOT_RUN)
    if each.pid not in groups:
        return each
    told = answers.groups(groups[each.pid])
    if told is None:
        return replace(each, mute=True)
    rank, world_size, known = told
    return replace(each, rank=rank, world_size=world_size, groups=known)
