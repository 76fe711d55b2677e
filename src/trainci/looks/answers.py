"""What a process answers (see ``trainci.probe``), read as something that anybody may have written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from trainci.model.look import Group, Operation, StackFrame, Thread
from trainci.text import printable

# As faulthandler writes them (Python/traceback.c): `Thread 0x… [name] (most recent call first):`.
_THREAD = re.compile(r"^(?:Current thread|Thread) (0x[0-9a-f]+).*\(most recent call first\):$")
_FRAME = re.compile(r'^  File "(.*)", line (\d{1,9}) in (.*)$')
_OWN = re.compile(r"trainci/probe/ranks\.py$")
_LONGEST = 300
_MOST_RANKS = 1 << 14
_MOST_GROUPS = 1 << 10


def threads(data: bytes) -> tuple[Thread, ...]:
    """The threads of a dump of faulthandler's, without the one that answers for us."""
    found: list[tuple[str, list[StackFrame]]] = []
    for line in data.decode("utf-8", "replace").splitlines():
        if match := _THREAD.match(line):
            found.append((match[1], []))
        elif found and (match := _FRAME.match(line)):
            found[-1][1].append(StackFrame(_short(match[1]), int(match[2]), _short(match[3])))
    # Who answered twice, being asked in two ways, answered the first time.
    first = dict(reversed(found))
    return tuple(
        Thread(id, tuple(frames))
        for id, frames in reversed(first.items())
        if not any(_OWN.search(frame.file) for frame in frames)
    )


def groups(data: bytes) -> tuple[int | None, int | None, tuple[Group, ...]] | None:
    """Rank, world size and groups; None where ``data`` is none of our answers."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, Mapping) or not isinstance(said.get("groups"), list):
        return None
    found = tuple(group for each in said["groups"][:_MOST_GROUPS] if (group := _group(each)) is not None)
    return _number(said.get("rank")), _number(said.get("world_size")), found


def _group(said: object) -> Group | None:
    if not isinstance(said, Mapping) or not isinstance(said.get("ranks"), list):
        return None
    ranks = [rank for each in said["ranks"][:_MOST_RANKS] if (rank := _number(each)) is not None]
    what = str(said.get("what", ""))
    return Group(
        _short(str(said.get("name", ""))),
        tuple(ranks),
        _operation(said.get("last")),
        _operation(said.get("waits")),
        # As torch calls a group that nobody said anything of.
        "" if what == "undefined" else _short(what),
    )


def _operation(said: object) -> Operation | None:
    if not isinstance(said, Mapping):
        return None
    number, name = _number(said.get("number")), said.get("name")
    if number is None or not isinstance(name, str):
        return None
    # `nccl:all_reduce`, `gloo:all_reduce`.
    return Operation(
        number, _short(name.partition(":")[2] or name), _short(str(said.get("sizes", ""))), said.get("p2p") is True
    )


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 53 else None


def _short(text: str) -> str:
    return printable(text[:_LONGEST])
