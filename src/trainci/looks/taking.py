"""Takes a look at a job: every process with its stacks and its collectives."""

from __future__ import annotations

from pathlib import Path

from trainci.host.processes import Process
from trainci.looks import answers, tree
from trainci.looks.asking import Asking
from trainci.model.look import Look, ProcessLook

# How long a process may take to answer: it may be stopped, or wait in the kernel, and then it never does.
_PATIENCE_S = 1.0


def look(command: int, folder: Path, at: float) -> Look:
    """What the processes of a job are doing; ``folder`` is where they answer, ``command`` its first process."""
    found = tree.of_job(command)
    try:
        asking = Asking(folder)
    except OSError:
        return Look(at, tuple(_unasked(each) for each in found))
    try:
        stacks = asking.stacks(found, _PATIENCE_S)
        groups = asking.groups([each for each in found if each.pid in stacks], _PATIENCE_S)
    finally:
        asking.close()
    return Look(at, tuple(_process(each, stacks, groups) for each in found))


def _process(found: Process, stacks: dict[int, bytes], groups: dict[int, bytes]) -> ProcessLook:
    said = answers.groups(groups.get(found.pid, b""))
    rank, world_size, known = said or (*_told(found), None)
    return ProcessLook(
        found.pid,
        found.parent,
        tree.words(found.pid),
        found.state,
        tree.waits_in(found.pid),
        answers.threads(stacks[found.pid]) if found.pid in stacks else None,
        rank,
        world_size,
        known,
        mute=said is None and found.pid in groups,
    )


def _told(found: Process) -> tuple[int | None, int | None]:
    """Rank and world size by the environment, of the rank itself and not of what it started."""
    told = tree.rank(found.pid)
    return (None, None) if told == tree.rank(found.parent) else told


def _unasked(found: Process) -> ProcessLook:
    return _process(found, {}, {})
