"""Pure: who of a job's processes keeps the others waiting, and where it is.

Sequence numbers tell: the rank whose last collective is behind, or that is in none while the others wait. States do
not: gloo leaves all of them as they were scheduled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trainci.model.look import Group, Look, Operation, ProcessLook, StackFrame, Thread
from trainci.text import listed

_MOST_NAMED = 4
# Frames that are a library's. What a person knows is the frame that called it.
_LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python3", "<frozen", "<string>")


def who(look: Look, seconds: float) -> str:
    """A sentence without an end: who is to be looked at, where it is, and who has waited for it for so long."""
    ranks: dict[int | None, ProcessLook] = {each.rank: each for each in look.processes if each.rank is not None}
    since = _duration(seconds)
    return _by_groups(ranks, since) or _by_stacks(look, since)


def _by_groups(ranks: dict[int | None, ProcessLook], since: str) -> str:
    """What the process groups tell."""
    for name in dict.fromkeys(group.name for each in ranks.values() for group in each.groups or ()):
        members = {
            rank: group
            for rank, each in ranks.items()
            for group in each.groups or ()
            if group.name == name and rank is not None
        }
        if sentence := _in_group(members, ranks, since):
            return sentence
    return ""


def _in_group(members: dict[int, Group], ranks: dict[int | None, ProcessLook], since: str) -> str:
    waiting = {rank: group.waits for rank, group in members.items() if group.waits and not group.waits.p2p}
    if not waiting:
        return ""
    front = max(waiting.values(), key=lambda operation: operation.number)
    waiters = [rank for rank, operation in waiting.items() if operation.number == front.number]
    behind = [rank for rank, group in members.items() if _reached(group) < front.number]
    wanted = next(iter(members.values())).ranks
    gone = [rank for rank in wanted if rank not in members]
    if behind or gone:
        said = [_never_reached(rank, ranks, front) for rank in behind[:_MOST_NAMED]]
        said += [f"rank {rank} of {len(wanted)} is gone" for rank in gone[:_MOST_NAMED]]
        return f"{'; '.join(said)}; {_ranks(waiters)} for it since {since}"
    kinds = {(operation.name, operation.sizes) for operation in waiting.values()}
    if len(kinds) > 1:
        said = [_differs(rank, ranks, operation) for rank, operation in sorted(waiting.items())[:_MOST_NAMED]]
        return f"the ranks are not in the same operation: {'; '.join(said)}; since {since}"
    return ""


def _reached(group: Group) -> int:
    return group.last.number if group.last else 0


def _never_reached(rank: int, ranks: dict[int | None, ProcessLook], front: Operation) -> str:
    each = ranks[rank]
    return f"rank {rank} of {each.world_size} never reached {front.name} #{front.number}; it is {_where(each)}"


def _differs(rank: int, ranks: dict[int | None, ProcessLook], operation: Operation) -> str:
    sizes = f" of {operation.sizes}" if operation.sizes else ""
    return f"rank {rank} is in {operation.name} #{operation.number}{sizes}, {_where(ranks[rank])}"


def _ranks(waiters: Sequence[int]) -> str:
    names = listed([str(rank) for rank in sorted(waiters)], 8)
    return f"rank {names} waits" if len(waiters) == 1 else f"ranks {names} wait"


def _by_stacks(look: Look, since: str) -> str:
    """What the stacks tell: processes that wait for other processes of the job are not the ones to look at."""
    parents = {each.parent for each in look.processes}
    asked = [each for each in look.processes if each.threads]
    busy = [each for each in asked if not _waits_for_another(each)] or asked
    leaves = [each for each in look.processes if each.pid not in parents and not each.threads]
    named = busy or leaves or list(look.processes)
    if not named:
        return f"nothing of it answers since {since}"
    said = [f"{_name(each)} is {_where(each)}" for each in named[:_MOST_NAMED]]
    more = f"; and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return f"{'; '.join(said)}{more}; since {since}"


_FOR_ANOTHER = {
    ("subprocess.py", "wait"), ("subprocess.py", "_wait"), ("subprocess.py", "communicate"),
    ("subprocess.py", "_communicate"),
    ("popen_fork.py", "wait"), ("popen_fork.py", "poll"), ("process.py", "join"), ("connection.py", "wait"),
    ("dataloader.py", "_try_get_data"), ("api.py", "_invoke_run"), ("spawn.py", "join"),
}  # fmt: skip


def _waits_for_another(each: ProcessLook) -> bool:
    frames = _main(each)
    return any((frame.file.rpartition("/")[2], frame.function) in _FOR_ANOTHER for frame in frames)


def _name(each: ProcessLook) -> str:
    return (
        f"rank {each.rank} of {each.world_size}"
        if each.rank is not None
        else f"process {each.pid} ({each.command})"
    )


def _main(each: ProcessLook) -> tuple[StackFrame, ...]:
    return each.threads[-1].frames if each.threads else ()


def _where(each: ProcessLook) -> str:
    """Its place, as ``in `load_batch` (data.py:41)``, or two, of threads in the program's own code."""
    own = [place for thread in _by_weight(each.threads or ()) if (place := _place(thread.frames))]
    if own:
        return " and ".join(dict.fromkeys(own[:2]))
    if each.threads and _main(each):
        return _shown(_main(each)[0])
    return (
        f"in the kernel's {each.waits_in}"
        if each.waits_in
        else f"in a program that cannot be asked (state {each.state})"
    )


def _by_weight(threads: Sequence[Thread]) -> Iterable[Thread]:
    return reversed(threads)


def _place(frames: Sequence[StackFrame]) -> str:
    own = next((frame for frame in frames if not _is_library(frame)), None)
    if own is None:
        return ""
    inner = frames[0]
    deeper = "" if inner == own else f", in {inner.function} ({inner.file.rpartition('/')[2]}:{inner.line})"
    return _shown(own) + deeper


def _is_library(frame: StackFrame) -> bool:
    return any(part in frame.file for part in _LIBRARIES)


def _shown(frame: StackFrame) -> str:
    return f"in `{frame.function}` ({frame.file.rpartition('/')[2]}:{frame.line})"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
