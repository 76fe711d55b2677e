"""Pure: compares ranks by what each knows of its process groups.

Sequence numbers tell: the rank whose last collective is behind, or that is in none while the others wait. The
states of collectives do not: gloo leaves all of them as they were scheduled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainci.model.look import Group, Look, Operation, ProcessLook
from trainci.text import listed
from trainci.verdict.stacks import named_place

_MOST_NAMED = 4
# Each rank brings as much to these as any other.
_EVEN = ("all_reduce", "broadcast", "reduce", "allreduce", "barrier")


@dataclass(frozen=True)
class _Wait:
    """Ranks of a group that wait in its operation ``front``, and those that it waits for, of ``size`` in all."""

    group: str
    size: int
    front: Operation
    waiting: Mapping[int, Operation]
    missing: tuple[int, ...]

    @property
    def waiters(self) -> tuple[int, ...]:
        return tuple(sorted(rank for rank, op in self.waiting.items() if op.number == self.front.number))


def by_groups(look: Look) -> str:
    """Who is behind, as ``rank 1 of 4 never reached all_reduce #3; it is in …; ranks 0, 2, 3 wait for it``.

    Empty where no rank waits in a collective.
    """
    ranks = {each.rank: each for each in look.processes if each.rank is not None}
    waits = _waits(ranks)
    if not waits:
        return ""
    stuck = {rank for wait in waits for rank in wait.waiting}
    for wait in waits:
        if culprits := [rank for rank in wait.missing if rank not in stuck]:
            # Who uses torch.distributed and cannot say which rank it is: something holds its interpreter.
            mute = [each for each in look.processes if each.mute and each.rank is None]
            return _never_reached(wait, culprits, ranks, mute)
    for wait in waits:
        if set(wait.missing) <= set(wait.waiting):
            return _all_there(wait, ranks)
    return "; ".join(_waits_for(wait, ranks) for wait in waits[:_MOST_NAMED]) + ": each waits for another"


def _waits(ranks: Mapping[int, ProcessLook]) -> list[_Wait]:
    """The groups in which somebody waits for a collective, the outermost first."""
    found = []
    for name, wanted in dict.fromkeys((g.name, g.ranks) for each in ranks.values() for g in each.groups or ()):
        members = {
            rank: group
            for rank, each in ranks.items()
            for group in each.groups or ()
            if (group.name, group.ranks) == (name, wanted)
        }
        waiting = {rank: group.waits for rank, group in members.items() if group.waits and not group.waits.p2p}
        if waiting:
            front = max(waiting.values(), key=lambda operation: operation.number)
            missing = tuple(rank for rank in wanted if rank not in members or _last(members[rank]) < front.number)
            size = max((ranks[rank].world_size or 0 for rank in members), default=0)
            found.append(_Wait(next(iter(members.values())).what or name, size, front, waiting, missing))
    return found


def _last(group: Group) -> int:
    return group.last.number if group.last else 0


def _never_reached(
    wait: _Wait, culprits: list[int], ranks: Mapping[int, ProcessLook], mute: list[ProcessLook]
) -> str:
    said = []
    for rank in culprits[:_MOST_NAMED]:
        each = ranks.get(rank) or (mute[0] if len(mute) == 1 else None)
        what = f"rank {rank} of {wait.size} never reached {_shown(wait.front)}"
        said.append(f"{what}; it is {named_place(each)}" if each else f"{what}; its process has ended")
    if len(culprits) > _MOST_NAMED:
        said.append(f"and {len(culprits) - _MOST_NAMED} more")
    return f"{'; '.join(said)}; {ranks_wait(wait.waiters)} for {'it' if len(culprits) == 1 else 'them'}"


def _all_there(wait: _Wait, ranks: Mapping[int, ProcessLook]) -> str:
    """Every rank of the group is in an operation, and it does not end."""
    names = {operation.name for operation in wait.waiting.values()}
    sizes = {operation.sizes for operation in wait.waiting.values()} if names <= {*_EVEN} else set()
    numbers = {operation.number for operation in wait.waiting.values()}
    if len(names) > 1 or len(sizes) > 1 or len(numbers) > 1:
        said = [
            f"rank {rank} of {wait.size} is in {_shown(operation)}{_of(operation, sizes)}, called "
            f"{named_place(ranks[rank])}"
            for rank, operation in sorted(wait.waiting.items())[:_MOST_NAMED]
        ]
        return f"the ranks do not do the same: {'; '.join(said)}"
    place = named_place(ranks[wait.waiters[0]])
    return f"every rank waits in {_shown(wait.front)}, which does not end; {ranks_wait(wait.waiters)}, {place}"


def _of(operation: Operation, sizes: set[str]) -> str:
    return f" of {operation.sizes}" if len(sizes) > 1 else ""


def _waits_for(wait: _Wait, ranks: Mapping[int, ProcessLook]) -> str:
    where = named_place(ranks[wait.waiters[0]])
    others = listed([str(rank) for rank in wait.missing], 8)
    return f"{ranks_wait(wait.waiters)} in {_shown(wait.front)} of group {wait.group} for rank {others}, {where}"


def _shown(operation: Operation) -> str:
    return f"{operation.name} #{operation.number}"


def ranks_wait(ranks: Sequence[int]) -> str:
    """``rank 1 waits``, ``ranks 0, 2 wait``."""
    names = listed([str(rank) for rank in ranks], 8)
    return f"rank {names} waits" if len(ranks) == 1 else f"ranks {names} wait"
