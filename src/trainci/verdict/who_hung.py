"""Pure: who of a job's processes keeps the others waiting, in a sentence without an end."""

from __future__ import annotations

from trainci.model.look import Look, ProcessLook
from trainci.text import shortened
from trainci.verdict.ranks import by_groups, ranks_wait
from trainci.verdict.stacks import busy_places, named_place, waits_for_another

_MOST_NAMED = 4
_LONGEST_COMMAND = 80


def who(look: Look, seconds: float) -> str:
    """Who is to be looked at, where it is, and who has waited for it for so long."""
    since = f"since {seconds / 60:.0f} min" if seconds >= 90 else f"since {seconds:.0f} s"
    return f"{where(look)} {since}"


def where(look: Look) -> str:
    """The same of a job that need not hang: who is to be looked at, and where it is."""
    return by_groups(look) or _by_stacks(look)


def _by_stacks(look: Look) -> str:
    """Without sequence numbers: who waits for another process of the job is not the one to look at."""
    asked = [each for each in look.processes if each.threads]
    elsewhere = [each for each in asked if not waits_for_another(each) and busy_places(each)]
    parents = {each.parent for each in look.processes}
    leaves = [each for each in look.processes if each.threads is None and each.pid not in parents]
    named = elsewhere or leaves or [each for each in asked if busy_places(each)] or list(look.processes)
    if not named:
        return "nothing of it can be seen"
    said = [f"{_name(each)} is {named_place(each)}" for each in named[:_MOST_NAMED]]
    more = [f"{len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
    waiting = [each.rank for each in asked if each not in named and each.rank is not None]
    if waiting:
        more.append(ranks_wait(sorted(waiting)))
    return "; ".join(said + more)


def _name(each: ProcessLook) -> str:
    if each.rank is not None:
        return f"rank {each.rank}" + ("" if each.world_size is None else f" of {each.world_size}")
    return f"process {each.pid} ({shortened(each.command, _LONGEST_COMMAND)})"
