"""Pure: whether a job makes progress.

Neither the clock nor activity says so: a rank that waits in NCCL keeps its device and a core busy. Progress is what
is new: output that was not there before, metrics, files, collectives, stacks that are not where they were.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from trainci.model.look import Look, StackFrame, Usage

# A program that polls is, now and then, caught between two waits: so many looks may find it elsewhere.
_ELSEWHERE = 1
# A program that computes is nearly always in the same few lines: so many looks at least must find it there. Of one
# that has not run since the look before it is certain.
_LOOKS = 30
_REMEMBERED = 512
_LONGEST_TAIL = 4096


@dataclass(frozen=True)
class Places:
    """Where the threads of a job are, and what its groups have done, as numbers that are only compared.

    ``known`` maps a process and one of its parts to its place; ``still`` are processes that nobody has asked, since
    they have not run from the first look on. ``ran``: one of the others has run since the look before.
    """

    known: Mapping[tuple[int, int], int]
    still: frozenset[int] = frozenset()
    ran: bool = True

    def elsewhere(self, other: Places) -> set[tuple[int, int]]:
        """The parts that are not where they are in ``other``, as far as both know them."""
        unasked = self.still | other.still
        parts = {part for part in self.known.keys() | other.known.keys() if part[0] not in unasked}
        return {part for part in parts if self.known.get(part) != other.known.get(part)}


@dataclass(frozen=True)
class Glance:
    """What is known of a job at the time ``at``; each of ``facts`` is a value that differs once there is progress.

    ``places`` are None where nobody looked. How its devices were used is no progress: a rank
    that waits keeps its own busy.
    """

    at: float
    facts: tuple[object, ...]
    places: Places | None = None
    usage: tuple[Usage, ...] = ()


def silent_since(glances: Sequence[Glance]) -> float:
    """When the facts changed last (the time of the first of ``glances`` that has those of the last one)."""
    since = glances[-1].at
    for glance in reversed(glances):
        if glance.facts != glances[-1].facts:
            break
        since = glance.at
    return since


def is_hung(glances: Sequence[Glance], window: float) -> bool:
    """Whether nothing has changed for ``window`` seconds, up to the last of ``glances``, which is a look."""
    last = glances[-1]
    if last.places is None or last.at - silent_since(glances) < window:
        return False
    looks = [(glance.at, glance.places) for glance in glances if glance.places is not None]
    within = [places for at, places in looks if at >= last.at - window]
    asleep = not any(places.ran for places in within)
    places = within if asleep else max(within, [places for _, places in looks[-_LOOKS:]], key=len)
    if len(places) < (2 if asleep else _LOOKS) or places[-1].elsewhere(places[-2]):
        return False
    moved = Counter(part for before in places for part in before.elsewhere(places[-1]))
    return all(count <= _ELSEWHERE for count in moved.values())


def places_of(look: Look, still: frozenset[int], ran: bool, is_service: Callable[[str], bool]) -> Places:
    """Where each thread is, and what each group has done; a program of another kind is where its command is.

    ``is_service`` tells by its command which process works on whether the job does or not.
    """
    found: dict[tuple[int, int], int] = {}
    for process in look.processes:
        if is_service(process.command) or process.pid in still:
            continue
        if process.late:
            # On a busy host: wherever it is, it is not known to be where it was.
            found[process.pid, 0] = hash((look.at, process.pid))
        elif process.threads is None:
            # One that runs short commands is where it was as long as they are the same.
            found[0, hash(process.command)] = 1
        for thread in process.threads or ():
            found[process.pid, hash(thread.id)] = hash(_up_to_its_wait(thread.frames))
        for group in process.groups or ():
            found[process.pid, hash(group.name)] = hash((group.last, group.waits))
    return Places(found, still, ran)


# Beneath these a thread only waits, and how it does so is no progress.
_WAITS = {
    ("threading.py", "wait"), ("threading.py", "join"), ("threading.py", "acquire"), ("queue.py", "get"),
    ("queue.py", "put"), ("subprocess.py", "wait"), ("subprocess.py", "_wait"), ("subprocess.py", "communicate"),
    ("connection.py", "wait"), ("connection.py", "poll"), ("popen_fork.py", "wait"), ("popen_fork.py", "poll"),
    ("process.py", "join"), ("selectors.py", "select"), ("api.py", "_invoke_run"),
}  # fmt: skip


def _up_to_its_wait(frames: Sequence[StackFrame]) -> tuple[StackFrame, ...]:
    """The stack, from the outside in, up to where it waits."""
    found: list[StackFrame] = []
    for frame in reversed(frames):
        if (frame.file.rpartition("/")[2], frame.function) in _WAITS:
            found.append(StackFrame(frame.file, 0, frame.function))
            break
        found.append(frame)
    return tuple(found)


# Times of the day, dates, and durations, which go on by themselves.
_CLOCK = re.compile(
    r"\d{4}-\d\d-\d\d|\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?|\d+(?:\.\d+)?\s*(?:ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?)\b"
)
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PIECE = re.compile(r"[\r\n\b]+")


@dataclass
class Said:
    """What a job printed, as far as it is needed to tell what is new; a spinner repeats itself."""

    _tail: bytes = b""
    _cut: bool = False
    _known: OrderedDict[str, None] = field(default_factory=OrderedDict)
    news: int = 0

    def add(self, data: bytes) -> None:
        """It printed ``data``. Cheap, as there may be any amount of it."""
        tail = self._tail + data[-_LONGEST_TAIL:]
        self._cut = self._cut or len(tail) > _LONGEST_TAIL or len(data) > _LONGEST_TAIL
        self._tail = tail[-_LONGEST_TAIL:]

    def take(self) -> int:
        """How many times there was something new so far."""
        pieces = _PIECE.split(_COLOUR.sub("", self._tail.decode("utf-8", "replace")))
        *whole, rest = pieces
        if self._cut and whole:
            del whole[0]
        if self._cut and not whole:
            whole = [rest]
        news = sum(self._is_new(piece) for piece in whole)
        if rest and not self._begins(rest):
            news += 1
            self._remember(_timeless(rest))
        self.news += bool(news)
        self._tail, self._cut = rest.encode()[-_LONGEST_TAIL:], False
        return self.news

    def _is_new(self, piece: str) -> bool:
        text = _timeless(piece)
        return bool(text) and self._remember(text)

    def _remember(self, text: str) -> bool:
        known = text in self._known
        self._known[text] = None
        self._known.move_to_end(text)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return not known

    def _begins(self, rest: str) -> bool:
        """Whether the end that is not finished is the beginning of something known."""
        text = _timeless(rest)
        return any(known.startswith(text) for known in self._known)


def _timeless(piece: str) -> str:
    return _CLOCK.sub("…", piece).strip()
