"""What a line of ``trainci.probe.ends`` says: how a process, or the tests that a framework ran in it, ended.

The lines come from a test's own processes: whatever they hold is bounded, and what is none of ours is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from trainci.text import printable

_MOST_LINES = 5_000
_LONGEST = 300
_LARGEST_NUMBER = 1 << 32
# Those that say so of a run of theirs.
_BEGIN = ("pytest", "unittest")
# What ends by what nobody caught, in words.
WHERE = {
    "left": "a child process whose exit code nobody asks for ended with",
    "process": "a process ended by",
    "fork": "a forked process ended by",
    "child": "a child process ended by",
    "thread": "a thread ended by",
    "task": "a task that nobody waits for ended by",
    "future": "a result that nobody asks for is",
    "callback": "a callback ended by",
    "unraisable": "nobody could catch",
    "test": "a test that is called passed ended by",
    "coroutine": "nobody awaited",
    "body": "nothing ran of the test",
}


@dataclass(frozen=True)
class Framework:
    """How tests that a framework ran ended.

    ``code`` is its own exit code, ``more`` counts failed ones unnamed, ``good`` those that passed, ``left_out``
    those that its configuration or a plugin took away.
    """

    by: str
    pid: int
    said: str
    root: str
    code: int
    failed: tuple[str, ...]
    more: int
    good: int
    left_out: int
    passed: frozenset[str]


@dataclass(frozen=True)
class Raised:
    """What nobody caught, in a process that was in ``directory``; ``env`` tells its variables from others.

    ``told``: in a way of the program's own, which the log may show as it likes. ``at`` counts the bytes before it.
    """

    how: str
    type: str
    said: str
    place: tuple[str, int] | None
    directory: str
    assertion: bool
    told: bool
    pid: int
    who: str
    env: str
    program: str
    at: int


@dataclass(frozen=True)
class Begun:
    """A framework began to run tests in the process ``pid``."""

    by: str
    pid: int


@dataclass(frozen=True)
class Good:
    """Another try of ``who``, a run of ``program``, ended well, or somebody asked how ``pid`` ended.

    ``after``: it is another try of what stands in the first so many bytes alone.
    """

    who: str = ""
    env: str = ""
    program: str = ""
    pid: int = 0
    after: float = math.inf


@dataclass(frozen=True)
class Sent:
    """A process of the job ended the process ``pid`` on purpose."""

    pid: int


End = Framework | Begun | Raised | Good | Sent


def read(lines: Iterable[bytes]) -> tuple[End, ...]:
    """What ``lines`` say, in their order; what is none of ours is left out."""
    found, at = [], 0
    for line in islice(lines, _MOST_LINES):
        if end := _read(line, at):
            found.append(end)
        at += len(line) + 1
    return tuple(found)


def _read(line: bytes, at: int) -> End | None:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    text = {name: value for name, value in said.items() if isinstance(value, str)}
    number = {name: value for name, value in said.items() if type(value) is int and abs(value) < _LARGEST_NUMBER}
    match said.get("by"):
        case "pytest" | "unittest" | "doctest":
            return Framework(
                by=text["by"],
                pid=number.get("pid", 0),
                said=_short(text.get("said", "")),
                root=text.get("root", ""),
                code=number.get("code", 0),
                failed=tuple(_names(said.get("failed"))),
                more=max(0, number.get("more", 0)),
                good=number.get("good", 0),
                left_out=number.get("left_out", 0),
                passed=frozenset(_names(said.get("passed"))),
            )
        case "raised" | "noted" if text.get("how") in WHERE:
            return Raised(
                how=text["how"],
                type=_short(text.get("type", "")),
                said=_short(text.get("said", "")),
                place=_place(said.get("frames")),
                directory=text.get("cwd", ""),
                assertion=said.get("assertion") is True,
                told=said.get("told") is True,
                pid=number.get("pid", 0),
                who=text.get("who", ""),
                env=text.get("env", ""),
                program=text.get("program", ""),
                at=at,
            )
        case "well":
            after = number.get("after", math.inf)
            who, env, program = (text.get(name, "") for name in ("who", "env", "program"))
            return Good(who=who, env=env, program=program, after=after)
        case "begun" if text.get("framework") in _BEGIN:
            return Begun(text["framework"], number.get("pid", 0))
        case "asked":
            return Good(pid=number.get("pid", 0))
        case "sent":
            return Sent(number.get("pid", 0))
    return None


def _names(said: object) -> list[str]:
    return [_short(name) for name in said if isinstance(name, str)] if isinstance(said, list) else []


def _place(said: object) -> tuple[str, int] | None:
    match said:
        case [*_, [str(file), int(line)]]:
            return file, line
    return None


def _short(text: str) -> str:
    return printable(text.partition("\n")[0][:_LONGEST])
