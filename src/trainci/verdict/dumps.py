"""Pure: the stacks that a program prints when its time is over, and what they say of what it waited for.

Formats: Python's faulthandler, py-spy, pytest-timeout (its stacks, and the traceback of the test that it ends).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trainci.model.diagnosis import Blame, Frame
from trainci.verdict.clients import OTHERS
from trainci.verdict.exceptions import is_library
from trainci.verdict.last_words import Tail

# What a stack begins with: faulthandler's and py-spy's have the innermost frame first; and where pytest's is over.
_HEAD = re.compile(
    r"(?P<inner>(?:Current thread|Thread) (?:0x)?\w+ .*(?:\(most recent call first\):$|\((?:idle|active)\b))"
    r"|~{3,} Stack of .+ ~{3,}$|(?P<pytest>_{3,} .+ _{3,}$)"
)
_OVER = re.compile(r"-{3,} Captured|={3,}|_{3,} ")
_PLACES = (
    re.compile(r'\s+File "(?P<file>[^"]+)", line (?P<line>\d{1,9}),? in (?P<function>\S+)'),
    re.compile(r" +(?P<function>\S+) \((?P<file>[^()\s]+\.py):(?P<line>\d{1,9})\)$"),
    re.compile(r"(?P<file>[^\s:]+\.py):(?P<line>\d{1,9}):(?: in (?P<function>\S+)| \w*)?$"),
)
_DEFINES = re.compile(r">?\s+(?:async )?def (\w+)\(")
# Of pytest's tracebacks those alone are of a time-out.
_FAILED, _TIMED_OUT = re.compile(r"E +\S"), re.compile(r"E +Failed: Timeout\b")
# Modules that py-spy names without the folder that they are in.
_SHORTENED = re.compile(
    r"(?:threading|queue|concurrent|multiprocessing|subprocess|asyncio|selectors|socket|ssl|http|urllib|logging"
    r"|runpy|contextlib|functools|torch|ray|transformers|datasets|huggingface_hub|vllm|sglang|pip|requests|httpx"
    r"|urllib3|httpcore|botocore|s3transfer|fsspec|gcsfs|filelock|zmq|tqdm|aiohttp|numpy|_pytest|grpc)(?:/|\.py$)"
)
# A stack that passes through one of these is about a server of others; in one of those an answer is waited for.
_OF_OTHERS = re.compile(
    rf"/(?:{OTHERS}|google/(?:cloud|auth|api_core)|pip|datasets|torchvision/datasets"
    r"|torch/hub\.py|nltk/downloader\.py|tiktoken)\b"
)
_BY_NETWORK = re.compile(
    r"/(?:ssl|socket|selectors|http/client|fsspec/asyn|huggingface_hub/file_download)\.py$|/(?:urllib3|httpcore)/"
)
_BY_THREADS = re.compile(r"/(?:threading|queue|concurrent/futures/(?:_base|thread))\.py$|/pytest_timeout\.py$")
_LOCKS = re.compile(r"\bwith \S*(?i:lock|mutex|cond|semaphore)\w*\b|\.acquire\(")
STOOD = "stood"
"""What is known of a program of which the stacks say no more than where it was."""


class Place(NamedTuple):
    """A frame of a stack, and the line of the log that shows it."""

    file: str
    line: int
    function: str
    shown: int


@dataclass(frozen=True)
class _Stack:
    """A thread's ``frames``, the innermost first, and the source of that one."""

    frames: Sequence[Place]
    source: str

    @property
    def within(self) -> Sequence[Place]:
        """Those of libraries, up to the innermost that is the program's own."""
        return list(itertools.takewhile(lambda one: is_library(one.file), self.frames))

    @property
    def is_own(self) -> bool:
        return len(self.within) < len(self.frames)

    @property
    def is_main(self) -> bool:
        return self.frames[-1].function != "_bootstrap"

    def waits_for_others(self) -> bool:
        """Whether it waits for a name, or for an answer of a server that is none of the job's own."""
        by_network = any(_BY_NETWORK.search(one.file) for one in self.frames[:2])
        of_others = any(_OF_OTHERS.search(one.file) for one in self.within)
        return self.frames[0].function == "getaddrinfo" or (by_network and of_others)

    def waits_for_threads(self) -> bool:
        """Whether it waits for a lock, a queue or a thread of its own process."""
        within = self.within
        return all(_BY_THREADS.search(one.file) for one in within) if within else bool(_LOCKS.search(self.source))

    def waits_for_ranks(self) -> bool:
        return any("/torch/distributed/" in one.file for one in self.within)

    def place(self) -> Place:
        return self.frames[len(self.within) if self.is_own else 0]


def stood(tail: Tail) -> tuple[Blame, str, Place] | None:
    """Where a program stood by the stacks that a log ends with, what it waited for, and whose fault that is."""
    stacks = _stacks_in(tail.unfolded()).values()
    # A library's thread that has nothing to do waits for something to do.
    live = [one for one in stacks if one.is_own or one.is_main or not _BY_THREADS.search(one.frames[0].file)]
    live.sort(key=lambda one: not one.is_main)
    if others := next(filter(_Stack.waits_for_others, live), None):
        return Blame.MACHINE, "waited for a server that is none of the job's own", others.place()
    waiting = next(filter(_Stack.waits_for_threads, live), None)
    if waiting and all(one.waits_for_threads() or not one.within for one in live):
        return Blame.CODE, "waited for a lock, a queue or a thread of its own", waiting.place()
    own = sorted((one for one in live if one.is_own), key=_Stack.waits_for_ranks)
    waits = "waited for other ranks" if own and own[0].waits_for_ranks() else STOOD
    return (Blame.UNSURE, waits, own[0].place()) if own else None


def crashed_at(below: Sequence[str]) -> tuple[Frame, ...]:
    """Where a program stood when it ended, the deepest place last, by the stack that stands below its end."""
    stacks = _stacks_in(Tail(1, below))
    told = (stack for head, stack in stacks.items() if "Current thread" in head or "MainThread" in head)
    stack = next(itertools.chain(told, stacks.values()), None)
    return tuple(Frame(one.file, one.line) for one in reversed(stack.frames)) if stack else ()


def _stacks_in(tail: Tail) -> dict[str, _Stack]:
    """All that ``tail`` shows by what they begin with; of a thread that is shown more than once, the last."""
    heads = [(place, head) for place, text in enumerate(tail.lines) if (head := _HEAD.match(text))]
    return {head.string: stack for place, head in heads if (stack := _below(tail, place, head))}


def _below(tail: Tail, start: int, head: re.Match[str]) -> _Stack | None:
    frames, source, function, timed_out = [], "", "", True
    for shown, text in enumerate(tail.lines[start + 1 :], start=tail.first + start + 1):
        if _OVER.match(text) if head["pytest"] else text[:1] != " ":
            break
        if at := next((found for each in _PLACES if (found := each.match(text))), None):
            name = at.groupdict().get("function") or function
            # Of a library py-spy leaves the folder out.
            file = f"/lib/python3.0/{at['file']}" if _SHORTENED.match(at["file"]) else at["file"]
            frames.append(Place(file, int(at["line"]), name.rpartition(".")[2], shown))
        elif _FAILED.match(text):
            timed_out = _TIMED_OUT.match(text) is not None
        elif text.strip():
            source = text
            function = defines[1] if (defines := _DEFINES.match(text)) else function
    return _Stack(frames if head["inner"] else frames[::-1], source) if frames and timed_out else None
