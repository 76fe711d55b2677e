"""Pure: the stacks that a program prints when its time is over, and what they say of what it waited for.

Formats: Python's faulthandler, py-spy, pytest-timeout (its stacks, and the traceback of the test that it ends).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainci.model.diagnosis import Blame, Frame
from trainci.model.look import StackFrame
from trainci.verdict.exceptions import is_library
from trainci.verdict.last_words import Tail

# What a stack begins with, where it is over, and whether its innermost frame comes first.
_KINDS = (
    (
        re.compile(r"(?:Current thread|Thread) 0x\w+ .*\(most recent call first\):$"),
        re.compile(r"(?! +File )"),
        True,
    ),
    (re.compile(r"Thread (?:0x)?\w+ \((?:idle|active)\S*\)"), re.compile(r"(?! )"), True),
    (re.compile(r"~{3,} Stack of .+ ~{3,}$"), re.compile(r"(?! )"), False),
    (re.compile(r"_{3,} .+ _{3,}$"), re.compile(r"-{3,} Captured|={3,}|_{3,} "), False),
)
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
    r"/(?:huggingface_hub|datasets|modelscope|pip|s3transfer|botocore|gcsfs|s3fs|adlfs|kagglehub|gdown|wandb"
    r"|google/(?:cloud|auth|api_core)|azure|torch/hub\.py|nltk/downloader\.py|tiktoken|torchvision/datasets)\b"
)
_BY_NETWORK = re.compile(
    r"/(?:ssl|socket|selectors|http/client|fsspec/asyn|huggingface_hub/file_download)\.py$|/(?:urllib3|httpcore)/"
)
_BY_THREADS = re.compile(r"/(?:threading|queue|concurrent/futures/(?:_base|thread))\.py$|/pytest_timeout\.py$")
_LOCKS = re.compile(r"\bwith \S*(?i:lock|mutex|cond|semaphore)\w*\b|\.acquire\(")
STOOD = "stood"
"""What is known of a program of which the stacks say no more than where it was."""


@dataclass(frozen=True)
class Stack:
    """A thread's ``frames``, the innermost first, whose source is ``source``; each has its line of the log."""

    frames: tuple[StackFrame, ...]
    lines: tuple[int, ...]
    source: str = ""

    @property
    def depth(self) -> int:
        """How many frames of libraries stand within the innermost of the program's own."""
        return next((depth for depth, one in enumerate(self.frames) if not is_library(one.file)), len(self.frames))

    @property
    def is_own(self) -> bool:
        """Whether the program has a frame in it."""
        return self.depth < len(self.frames)

    @property
    def is_main(self) -> bool:
        """Whether it is of no thread that ``threading`` began."""
        return self.frames[-1].function != "_bootstrap"

    def waits_for_others(self) -> bool:
        """Whether it waits for a name, or for an answer of a server that is none of the job's own."""
        by_network = any(_BY_NETWORK.search(one.file) for one in self.frames[:2])
        of_others = any(_OF_OTHERS.search(one.file) for one in self.frames[: self.depth])
        return self.frames[0].function == "getaddrinfo" or (by_network and of_others)

    def waits_for_threads(self) -> bool:
        """Whether it waits for a lock, a queue or a thread of its own process."""
        within = self.frames[: self.depth]
        return all(_BY_THREADS.search(one.file) for one in within) if within else bool(_LOCKS.search(self.source))

    def is_in_collective(self) -> bool:
        """Whether it waits for other ranks."""
        return any("/torch/distributed/" in one.file for one in self.frames[: self.depth])


@dataclass(frozen=True)
class Stood:
    """Where a program stood by a line of the log, and whose fault that makes it: None where that does not say."""

    blame: Blame | None
    meaning: str
    place: StackFrame
    line: int


def stood(tail: Tail) -> Stood | None:
    """What the stacks say that a log ends with: of where the program stood, and what it waited for."""
    stacks = _stacks_in(tail.unfolded()).values()
    # A library's thread that has nothing to do waits for something to do.
    live = [one for one in stacks if one.is_own or one.is_main or not _BY_THREADS.search(one.frames[0].file)]
    live.sort(key=lambda one: not one.is_main)
    if others := _first(live, Stack.waits_for_others):
        return _at(others, Blame.MACHINE, "waited for a server that is none of the job's own")
    waiting = _first(live, Stack.waits_for_threads)
    if waiting and all(one.waits_for_threads() or not one.depth for one in live):
        return _at(waiting, Blame.CODE, "waited for a lock, a queue or a thread of its own")
    own = [one for one in live if one.is_own]
    where = _first(own, lambda one: not one.is_in_collective()) or _first(own)
    return _at(where, None, "waited for other ranks" if where.is_in_collective() else STOOD) if where else None


def crashed_at(below: Sequence[str]) -> tuple[Frame, ...]:
    """Where a program stood when it ended, the deepest place last, by the stack that stands below its end."""
    stacks = _stacks_in(Tail(1, below))
    told = (stack for head, stack in stacks.items() if "Current thread" in head or "MainThread" in head)
    stack = next(itertools.chain(told, stacks.values()), None)
    return tuple(Frame(one.file, one.line) for one in reversed(stack.frames)) if stack else ()


def _stacks_in(tail: Tail) -> dict[str, Stack]:
    """All that ``tail`` shows by what they begin with; of a thread that is shown more than once, the last."""
    found = {}
    for place, text in enumerate(tail.lines):
        kind = next((kind for kind in _KINDS if kind[0].match(text)), None)
        if kind and (stack := _below(tail, place, kind[1], kind[2])):
            found[text] = stack
    return found


def _below(tail: Tail, head: int, ends: re.Pattern[str], innermost_first: bool) -> Stack | None:
    frames, lines, source, function, timed_out = [], [], "", "", True
    for place in range(head + 1, len(tail.lines)):
        text = tail.lines[place]
        if ends.match(text):
            break
        if at := next((found for each in _PLACES if (found := each.match(text))), None):
            name = at.groupdict().get("function") or function
            frames.append(StackFrame(_whole(at["file"]), int(at["line"]), name.rpartition(".")[2]))
            lines.append(tail.first + place)
        elif _FAILED.match(text):
            timed_out = _TIMED_OUT.match(text) is not None
        elif text.strip():
            source = text
            function = defines[1] if (defines := _DEFINES.match(text)) else function
    order = 1 if innermost_first else -1
    return Stack(tuple(frames[::order]), tuple(lines[::order]), source) if frames and timed_out else None


def _whole(file: str) -> str:
    """``file`` with a folder of libraries, which py-spy leaves out."""
    return f"/lib/python3.0/{file}" if _SHORTENED.match(file) else file


def _at(stack: Stack, blame: Blame | None, meaning: str) -> Stood:
    depth = stack.depth if stack.is_own else 0
    return Stood(blame, meaning, stack.frames[depth], stack.lines[depth])


def _first(stacks: Sequence[Stack], fits: Callable[[Stack], bool] = lambda _: True) -> Stack | None:
    return next((stack for stack in stacks if fits(stack)), None)
