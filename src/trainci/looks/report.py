"""A look as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trainci.model.look import Group, Look, Operation, ProcessLook, StackFrame, Usage

_MOST_THREADS = 64
_MOST_FRAMES = 40


def lines_of(look: Look) -> tuple[str, ...]:
    """Each process with its stacks, the innermost frame first, and its collectives."""
    return tuple(line for each in look.processes for line in _process(each))


def lines_of_usage(usages: Sequence[Usage], seconds: float) -> tuple[str, ...]:
    """Each device over the last ``seconds``, from what was seen of all of them in that time."""
    return tuple(
        _device(device, [usage for usage in usages if usage.device == device], seconds)
        for device in dict.fromkeys(usage.device for usage in usages)
    )


def _device(name: str, usages: Sequence[Usage], seconds: float) -> str:
    busy = [usage.percent for usage in usages if usage.percent is not None]
    how = f"{_span(min(busy), max(busy))} % busy, " if busy else ""
    memory = [usage.memory / (1 << 30) for usage in usages]
    gib = _span(f"{min(memory):.1f}", f"{max(memory):.1f}")
    return f"device {name}: {how}{gib} GiB in use, in {len(usages)} looks over {seconds:.0f} s"


def _span(least: object, most: object) -> str:
    return f"{least}" if least == most else f"{least} to {most}"


def _process(each: ProcessLook) -> Iterator[str]:
    rank = f"rank {each.rank} of {each.world_size}, " if each.rank is not None else ""
    waits = f", waits in the kernel's {each.waits_in}" if each.waits_in else ""
    yield f"process {each.pid} ({rank}child of {each.parent}, state {each.state}{waits}): {each.command}"
    for group in each.groups or ():
        done = f"last {_said(group.last)}; waits in {_said(group.waits)}"
        yield f"  group {group.what or group.name} of ranks {_members(group)}: {done}"
    if each.threads is None:
        yield "  no Python stack: it is no Python, its probe was not loaded, or it does not answer"
    for thread in (each.threads or ())[:_MOST_THREADS]:
        yield f"  thread {thread.id}"
        yield from (f"    {_shown(frame)}" for frame in thread.frames[:_MOST_FRAMES])
    if each.native:
        yield "  with native frames"
        yield from (f"    {line}" for line in each.native)


def _members(group: Group) -> str:
    return ", ".join(map(str, group.ranks[:32])) + (", …" if len(group.ranks) > 32 else "")


def _said(operation: Operation | None) -> str:
    return "nothing" if operation is None else f"{operation.name} #{operation.number} {operation.sizes}".rstrip()


def _shown(frame: StackFrame) -> str:
    return f"{frame.function} ({frame.file}:{frame.line})"
