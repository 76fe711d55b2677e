"""Pure: what pytest says of tests that failed (pytest 8: sections, ``E`` lines, the short summary)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence

from trainci.model.diagnosis import Frame
from trainci.verdict.exceptions import (
    FRAME,
    MOST_SOURCES,
    WITHOUT_HEADER,
    Tracebacks,
    exception_type,
    is_library,
    names_a_place,
)
from trainci.verdict.prefixes import Line
from trainci.verdict.raised import FIGURES, Chain, Raised
from trainci.verdict.stand_ins import plays, stands_in

_SECTION = re.compile(r"={3,} (?P<title>.+?) ={3,}$")
_TEST = re.compile(r"_{3,} (?P<name>.+?) _{3,}$")
_ERROR = re.compile(r"E {3,}\S")
_CAPTURED = re.compile(r"-{3,} Captured .+ -{3,}$")
_SUMMARY = re.compile(r"(?:FAILED|ERROR) (?P<name>\S+?\.py(?:\S*\[.*?\]|\S*))(?: - (?P<reason>.*))?$")
# In pytest's long style the type stands below the last of an exception's places, in its short one none does; in
# that of one line the exception does.
_PLACE = re.compile(
    r"(?P<file>[^\s:]+\.py):(?P<line>\d{1,9}):(?: (?:in .+|(?P<type>[A-Za-z_][\w.]*)(?P<said>: .*)?))?$"
)
# Of a doctest, which has no ``E`` lines, this stands above its place.
_DOCTEST = ("Expected:", "Expected nothing", "Differences ")
# Outside of every section, and all that pytest says then.
_CONFTEST = "ImportError while loading conftest"
CUT_OFF = "?"
"""The name of a test whose beginning the log does not have."""
TEARDOWN = "ERROR at teardown of "
_COUNTS = re.compile(r"={3,}.*\b\d+ (?:failed|passed|error).*={3,}$|\d+ (?:passed|failed).* in [\d.]+s")
# So near above an exception is the source of the test that it failed.
_NEAR = 60
_RAISES = re.compile(r">?\s+raise ")
_MOST_TESTS = 1000
_LONGEST_MESSAGE = 20
_LONGEST_EXAMPLE = 200
_MOST_FRAMES = 100


class PytestReport:
    """Follows the lines of a log, and takes those that are pytest's own."""

    def __init__(self) -> None:
        self.inside = False
        self._chains: list[Chain] = []
        self._summary: list[Chain] = []
        self._test = ""
        self._chain: Chain | None = None
        self._frames: list[Frame] = []
        # The first lines of tests that failed with no exception.
        self._told: list[str] = []
        self._in_message = False
        self._in_source = False
        self._example: Raised | None = None
        self._raising = ""
        self._in_library = False
        self._file = ""
        self._plays = False
        # Lines of source that name a host or a port, which say who was spoken to.
        self._sources: deque[str] = deque(maxlen=MOST_SOURCES)
        self._native = Tracebacks()
        # Those within an exception's message.
        self._shown = Tracebacks()
        self._stood_in = -_NEAR
        self._awaits = 0
        self.capturing = False
        self.passed = False

    def take(self, line: Line, progress: int, before: Callable[[], Sequence[str]] = list) -> bool:
        """Whether the line, which stands right below those that ``before`` gives, was pytest's own."""
        text = line.text.rstrip()
        if section := _SECTION.match(text):
            self._begin_section(section["title"], text)
            return True
        if (summary := _SUMMARY.match(text)) and not self.capturing:
            self._summarize(line, summary, progress)
            return True
        if text.startswith(_CONFTEST):
            self._begin_section("ERRORS", text)
            return True
        if not self.inside:
            if _COUNTS.match(text):
                self.passed = " failed" not in text and " error" not in text
            return self._cut_off(line, text, progress, before)
        return self._in_section(line, text, progress)

    def finish(self) -> list[Chain]:
        """The tests that failed, each with its exceptions."""
        return self._chains or self._summary

    @property
    def active(self) -> bool:
        """Each line counts, whatever it is."""
        return self.inside or self._awaits > 0

    def _cut_off(self, line: Line, text: str, progress: int, before: Callable[[], Sequence[str]]) -> bool:
        """Whether the line is of a section whose beginning the log does not have."""
        self._awaits -= 1
        if stands_in(text):
            self._stood_in = line.number
        if self._awaits > 0 and (place := _PLACE.match(text)) and place["type"]:
            self._place(place)
            self._awaits = 0
            return True
        if _ERROR.match(text) and (self._in_message or exception_type(text[1:].strip()) or "assert " in text):
            self._test = self._test or CUT_OFF
            self._plays = 0 <= line.number - self._stood_in < _NEAR
            above = before()
            self._raising = next((said for said in above if _RAISES.match(said)), "")
            self._sources = deque((said.strip() for said in above if names_a_place(said)), MOST_SOURCES)
            for place in filter(None, map(_PLACE.match, above)):
                self._place(place)
            self._awaits = _LONGEST_MESSAGE
            self._error(line, text[1:], progress)
            return True
        self._in_message = False
        return False

    def _begin_section(self, title: str, text: str) -> None:
        self.inside = title in ("FAILURES", "ERRORS")
        self.capturing = False
        self._test, self._chain, self._frames = CUT_OFF, None, []
        if _COUNTS.match(text):
            self.passed = " failed" not in text and " error" not in text

    def _in_section(self, line: Line, text: str, progress: int) -> bool:
        if test := _TEST.match(text):
            self._shown = Tracebacks()
            self._test, self._chain, self._frames = test["name"], None, []
            self._raising, self._in_library, self._plays, self._file = "", False, False, ""
            self._sources.clear()
            self._example = None
            self._in_message = self.capturing = False
        elif _CAPTURED.match(text):
            self.capturing = True
        elif self.capturing:
            return False
        elif text.startswith("E ") or text == "E":
            self._error(line, text[1:], progress)
        else:
            self._in_message = self._in_source = False
            self._plays = self._plays or stands_in(text)
            if text.strip():
                self._raising = text if _RAISES.match(text) else ""
            if not self._in_library and names_a_place(text):
                self._sources.append(text.strip())
            if place := _PLACE.match(text):
                self._end_example(line, progress)
                self._place(place)
            elif self._example or text.startswith(_DOCTEST):
                self._of_example(line)
            else:
                self._as_python_says(line, progress)
                if text and len(self._told) < _MOST_TESTS and not self._chain:
                    self._told.append(text)
        return True

    def _of_example(self, line: Line) -> None:
        if self._example is None:
            self._example = Raised("AssertionError", line.text.strip(), line.number)
        elif len(self._example.text) < _LONGEST_EXAMPLE:
            self._example.text = f"{self._example.text} {line.text.strip()}".rstrip()

    def _end_example(self, line: Line, progress: int) -> None:
        if self._example:
            self._chain = Chain(line.stream, [self._example], test=self._test, progress=progress)
            self._add(self._chain)
        self._example = None

    def _as_python_says(self, line: Line, progress: int) -> None:
        """A traceback in Python's own style, as of an exception group."""
        _, chain = self._native.feed(line)
        if chain and len(chain.raised) == 1:
            chain.test, chain.progress = self._test, progress
            self._add(chain)

    def _add(self, chain: Chain) -> None:
        if len(self._chains) < _MOST_TESTS:
            self._chains.append(chain)

    def _place(self, place: re.Match[str]) -> None:
        self._in_library, self._file = is_library(place["file"]), place["file"]
        self._plays = self._plays or plays(place["file"])
        if not self._in_library:
            self._frames = [*self._frames[-_MOST_FRAMES:], Frame(place["file"], int(place["line"]))]
        if place["type"] and self._chain:
            raised = self._chain.raised[-1]
            raised.type = raised.type or place["type"]
            raised.frames += self._taken()
            raised.inner_file = self._file
            raised.own = (raised.own and not self._in_library) or self._plays
            raised.played = self._plays
            self._in_library = False
            if place["said"]:
                self._chain = None

    def _taken(self) -> tuple[Frame, ...]:
        frames, self._frames = tuple(self._frames), []
        return frames

    def _error(self, line: Line, said: str, progress: int) -> None:
        text = said.strip()
        _, shown = self._shown.feed(line._replace(text=said))
        if self._in_message and self._chain:
            raised = self._chain.raised[-1]
            if len(raised.message) < _LONGEST_MESSAGE or FIGURES.match(text):
                raised.message.append(text)
            if shown:
                self._chain.led_here(shown.raised[0])
            elif raised.name == WITHOUT_HEADER and (type_ := exception_type(text)):
                self._chain.led_here(Raised(type_, text, line.number, frames=_frames_in(raised.message)))
            return
        if place := FRAME.match(text):
            # A file that is no Python: its place and its text come before what is wrong with it.
            self._frames, self._in_source = [Frame(place["file"], int(place["line"]))], True
        if self._in_source and not exception_type(text):
            return
        self._in_message, self._in_source = True, False
        type_ = "AssertionError" if text.startswith("assert ") else exception_type(text)
        if self._chain is None:
            self._chain = Chain(line.stream, test=self._test, progress=progress)
            self._add(self._chain)
        own = (bool(self._raising) and not self._in_library) or self._plays
        raised = Raised(type_, text, line.number, frames=self._taken(), own=own, played=self._plays)
        raised.raising, raised.sources, raised.inner_file = self._raising, tuple(self._sources), self._file
        self._chain.raised.append(raised)

    def _whole(self, reason: str) -> str:
        """``reason``, which the summary cuts at the width of a terminal."""
        if not reason.endswith("..."):
            return reason
        type_, mark, said = reason[:-3].rpartition("Failed: ")
        return next((f"{type_}{mark}{text}" for text in self._told if text.startswith(said)), reason)

    def _summarize(self, line: Line, summary: re.Match[str], progress: int) -> None:
        reason = self._whole(summary["reason"] or "")
        type_ = "AssertionError" if reason.startswith("assert ") else exception_type(reason)
        if len(self._summary) < _MOST_TESTS:
            chain = Chain(line.stream, test=summary["name"], progress=progress)
            chain.raised.append(Raised(type_, reason or summary[0], line.number))
            self._summary.append(chain)


def _frames_in(message: Sequence[str]) -> tuple[Frame, ...]:
    """The repository's own frames that a message shows."""
    places = [place for said in message if (place := FRAME.match(said))]
    return tuple(Frame(one["file"], int(one["line"])) for one in places if not is_library(one["file"]))
