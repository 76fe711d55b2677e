"""Pure: an exception as a log shows it, and what of it is told first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainci.model.diagnosis import Frame, LogRule
from trainci.verdict.drawn import HEADER

# How numpy and torch say, below the first line of a message, how much differs and where, or what does not compile.
FIGURES = re.compile(r"Mismatched \w+: \d|The failure occurred for item |Explanation: ")
# Below this gRPC tells the status, and who was called.
_STATUS_BELOW = "of RPC that terminated with:"
_LAST_ERROR = "Last error:"
# Below this a compiler says what is wrong with a place of its source (Triton).
_POINTS = re.compile(r"\s*\^~*$")


@dataclass
class Raised:
    """One exception: its last line as it stands in the log, where, and which rules its message fits.

    ``fits`` holds the rules, each with whether it names the exception's type. ``libraries`` are those that its
    traceback passes through, ``frames`` the last of its other places. ``own``: a line of these, that the log
    shows, raises it, or a library that plays servers did. ``played``: a test put something in a library's place,
    near where it failed. ``raising`` is the line of these that raises it. ``sources`` are those that name a host or
    a port: the last says who was spoken to where the exception does not. ``asserts`` is the assertion that the log
    shows. ``inner`` is the exception that its message shows, of a program that was run, or the place in code that
    was compiled. ``inner_file`` is the file of the innermost place of its traceback.
    """

    type: str
    text: str
    line: int
    libraries: frozenset[str] = frozenset()
    fits: list[tuple[LogRule, bool]] = field(default_factory=list)
    message: list[str] = field(default_factory=list)
    frames: tuple[Frame, ...] = ()
    own: bool = False
    played: bool = False
    raising: str = ""
    sources: tuple[str, ...] = ()
    asserts: str = ""
    inner: Raised | None = None
    inner_file: str = ""

    @property
    def name(self) -> str:
        """The type without its module."""
        return self.type.rpartition(".")[2]

    @property
    def source(self) -> str:
        """The last line of source that names a host or a port."""
        return self.sources[-1] if self.sources else ""

    @property
    def said(self) -> str:
        """Its line, with the first of its message where that begins below it, as numpy's does."""
        if self.text.endswith(_STATUS_BELOW):
            return " ".join([self.text, *self.message[:3]])
        if self.text != f"{self.type}:" or self.name == "ChildFailedError":
            return self.text
        return " ".join([self.text, *[text for text in self.message if text][:1]])

    @property
    def texts(self) -> Sequence[str]:
        """What it says, line by line, the most telling first: below NCCL's last error stands what led to it."""
        texts = [self.said, *self.message]
        last = next((place for place, text in enumerate(texts) if text.startswith(_LAST_ERROR)), 0)
        return [*texts[last:], *texts[:last]]

    @property
    def told(self) -> str:
        """What is said, with the line that it goes on in; of an assertion that says nothing what it asserts."""
        if self.asserts and self.text == self.type:
            return f"{self.text}: {self.asserts}"
        more = [text for text in self.message if text][self.said != self.text :]
        if self.inner and self.inner.text:
            return self.inner.told
        if _pointed(more):
            return f"{self.type}: {_pointed(more)}"
        goes_on = self.said.endswith(":") and self.name != "ChildFailedError" and HEADER not in " ".join(more[:1])
        said = " ".join([self.said, *more[:1]]) if goes_on else self.said
        figures = [text for text in more if FIGURES.match(text) and text not in said]
        return "; ".join([said.rstrip("!"), *figures]) if figures else said

    @property
    def told_at(self) -> int:
        """The line in which that stands."""
        return self.inner.told_at if self.inner and self.inner.text else self.line


@dataclass
class Chain:
    """Exceptions of which each led to the next, the first one first.

    ``test`` is the test that failed with it, where pytest says so. ``captured``: it is in the output that pytest
    kept of a test. ``retried``: what was said before it makes it one of several tries. ``ignored``: Python says
    that the program goes on with it (``__del__``). ``announces``: it is a line that only stands above a traceback,
    which tells why. ``progress`` and ``told``: how many signs of progress, and lines that are no traceback's, there
    were before its end.
    """

    stream: str
    raised: list[Raised] = field(default_factory=list)
    test: str = ""
    captured: bool = False
    retried: bool = False
    ignored: bool = False
    announces: bool = False
    progress: int = 0
    told: int = 0

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.raised[0].line

    def led_here(self, inner: Raised) -> None:
        """The message of its last exception shows ``inner``, which led to it."""
        if self.raised[-1].inner is None:
            self.raised[-1].inner = inner
            self.raised.insert(-1, inner)


def _pointed(message: Sequence[str]) -> str:
    """What stands below the place that a message points at."""
    below = (message[place + 1] for place, text in enumerate(message[:-1]) if _POINTS.match(text))
    return next(below, "")
