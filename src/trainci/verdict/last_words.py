"""Pure: the line in which a program says itself why it ends, where no rule knows what it says.

It is what an engineer reads first, and decides nothing: whose fault it was, the ending alone says.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainci.model.diagnosis import Frame
from trainci.verdict.prefixes import lines_of

# How programs of any kind say that they fail, the most telling kind first: what a crashing program says (Rust, Go,
# Java, C and C++, glog, googletest, doctest), what a compiler says of a place, what tools and shells say, what a
# logger calls an error, which test failed, what a program compared.
_KINDS = (
    re.compile(
        r"thread '.{1,200}?' .{0,20}panicked at |panic: |Exception in thread |Caused by: |Uncaught "
        r"|.{0,400}\bAssertion\b.{1,400}\bfailed\b|\s*what\(\): |\S+:\d+: Failure$|Failed example:$"
        r"|.{0,200}\bCheck failed: |!{3,} (?:(?:\w+\.)*Exit: |KeyboardInterrupt)"
        r"|\s+\w+_test\.go:\d+: |\s*● .{1,200} › |(?:[a-z]\w*\.){2,}[A-Z]\w*(?:Error|Exception): "
        r"|.{1,300} at [^\s:]{1,200} line \d+\.$"
    ),
    re.compile(
        r"(?i)\S+:\d+(?::\d+)?: (?:fatal |internal compiler )?error\b|error\[\w+\]: "
        r"|(?-i:(?:\S+:\d+:\d+: )?[A-Z]{1,5}\d{3,5}:? (?:\[\*\] )?[A-Za-z`'])|.{1,300}: undefined reference to "
        r"|\s*\d+:\d+\s+error\s+\S|would reformat \S"
    ),
    re.compile(
        r"(?i)(?:.{0,80}[\s\]>):*!])??(?:fatal|\w{0,40}error)(?: at \S+)?(?: \S{1,20})?: \S"
        r"|E[A-Z]\d{4}: \S|[\w./-]+: line \d+: \S|CMake Error\b|╭─+ Error ─"
        r"|.{0,400}: (?:unbound variable|not found|command not found|No such file or directory|Permission denied)$"
        r"|[\w./-]+: (?:cannot|can't|couldn't|could not|failed to|unable to|invalid|unknown|unrecognized) "
    ),
    re.compile(
        r"(?i)(?-i:.{0,120}?\b(?:ERROR|CRITICAL|FATAL)\b[\]\s:|-]+\S|\[[EF][ \d][^\]]{4,60}\] \S)"
        r"|.{0,80}\[(?:error|critical|fatal) *\] "
        r'|\{.{0,200}"(?:level\w{0,4}|severity)": ?"(?:error|critical|fatal)"'
    ),
    re.compile(
        r"\s*(?:--- FAIL\b|FAIL(?:ED|URE)?\b|not ok \d|[✕✗✘✖❌]|\[  FAILED  \])"
        r"|(?!\S+::).{1,300}(?:\*\*\*Failed\b|\bFAIL(?:ED)?\W{0,9}$)"
    ),
    re.compile(r"(?i).{0,120}?\b(?:mismatch\b.{0,200}?\d|expected\b.{1,200}\b(?:got|but was)\b)"),
)
_OF_A_PLACE, _BY_LEVEL = _KINDS[1], _KINDS[3]
# Below what compilers and linters say stands where.
_POINTER = re.compile(r"\s*--> \S+:\d+")
# A shell's trace, what trainci wrote into the log, how something is called, what may be tried, what was a warning.
_BESIDE = re.compile(
    r"\++ |trainci(?: lease)?: |(?i:.*\b(?:usage: |warn(?:ing)?\b|no errors?\b|0 errors?\b)"
    r"|.{0,80}\b(?:errors?|mismatch|fail(?:ed|ures?)?)(?: count| tests?)?\s*[:=]\s*0$"
    r"|.*\b(?:reported|shown|printed) (?:as )?(?:above|below)\b"
    r"|error executing job with overrides"
    r"|\s*(?:set the environment variable|try |note: |hint: |help: |for more|see |run with"
    r"|make(?:\[\d+\])?: \*\*\*))"
)
_TRACED = re.compile(r"\++ \S")
# What a trace ends with that tells nothing, as does an empty line.
_EXITS = re.compile(r"\++ (?:exit|return)\b|\s*$")
_BOX = "─━═-=_*#+╭╮╰╯│|~^ \t"
# Where a line ends so, the next one goes on.
_GOES_ON = re.compile(r": Failure$|─ Error ─|: [|>]-?$|:$")
_THROWN = "terminate called after throwing an instance of"
_PLACE = re.compile(r"(?:file://)?(?P<file>[\w.@+/-]{1,300}\.\w{1,5})(?::|:? line |\()(?P<line>\d{1,9})\b")
_ABOVE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d{1,9}), in ')
_AT = re.compile(r"\s*(?:at |--> |#\d+ 0x)\S")
# Lines of one kind that are so near to each other tell of one failure, and the first of them of its cause.
_NEAR = 30
_LONGEST_PARAGRAPH = 8
_LONGEST = 400


@dataclass(frozen=True)
class Tail:
    """The last lines of a log, of which ``first`` is the number of the first one.

    ``errors`` are the places among them whose logger put before them that they are errors.
    """

    first: int = 1
    lines: Sequence[str] = ()
    errors: frozenset[int] = frozenset()

    def after(self, number: int) -> Sequence[str]:
        """The lines below that one, none where it is not among them."""
        return self.lines[number - self.first + 1 :] if number >= self.first else ()

    def at(self, number: int) -> str:
        """That line."""
        return self.lines[number - self.first].strip()

    def unfolded(self) -> Tail:
        """The same, with what a logger was told in place of its line of JSON."""
        lines = [lines_of(0, line)[0].text if line.startswith("{") else line for line in self.lines]
        return replace(self, lines=lines)

    def before(self, number: int) -> Tail:
        """The lines above that one."""
        return Tail(self.first, self.lines[: max(0, number - self.first)], self.errors)


@dataclass(frozen=True)
class Words:
    """What a program said, in which line, and the places in files that it names, the deepest last."""

    text: str
    line: int
    frames: tuple[Frame, ...] = ()


def last_words(tail: Tail) -> Words | None:
    """The line by which the program says that it fails."""
    told_beside = {_OF_A_PLACE: _pointed(tail.lines), _BY_LEVEL: tail.errors}
    for kind in _KINDS:
        # A logger also calls an error what a program goes on after.
        start = max(0, len(tail.lines) - _NEAR) if kind is _BY_LEVEL else 0
        known = told_beside.get(kind, frozenset())
        found = [
            place
            for place, line in enumerate(tail.lines)
            if place >= start and (kind.match(line) or place in known) and not _BESIDE.match(line)
        ]
        if found:
            return _words(tail, _first_of_last(found))
    return None


def _pointed(lines: Sequence[str]) -> frozenset[int]:
    return frozenset(place for place, line in enumerate(lines[1:]) if _POINTER.match(line) and lines[place].strip())


def printed_last(tail: Tail) -> Words | None:
    """The last line that the program, or the shell that ran it, printed itself."""
    places = range(len(tail.lines) - 1, -1, -1)
    own = (at for at in places if tail.lines[at].strip() and not tail.lines[at].startswith("trainci"))
    return next((Words(tail.lines[at].strip(), tail.first + at) for at in own), None)


def last_line(tail: Tail) -> Words | None:
    """The last that it said, whatever that was; the command of a shell's trace that ended it and said nothing."""
    end = len(tail.lines)
    ran = next((place for place in reversed(range(end)) if not _EXITS.match(tail.lines[place])), -1)
    if _TRACED.match(tail.lines[ran] if end else ""):
        return _words(tail, ran)
    while end:
        start = end
        while start and tail.lines[start - 1].strip(_BOX):
            start -= 1
        said = [place for place in range(start, end) if not _BESIDE.match(tail.lines[place])]
        if said:
            # Above advice on what to do the first line of what is wrong tells more than its last.
            advised = any(line.strip(_BOX) for line in tail.lines[end:])
            return _words(tail, said[0] if advised and len(said) <= _LONGEST_PARAGRAPH else said[-1])
        end = start if start < end else end - 1
    return None


def completed(text: str, below: Sequence[str]) -> str:
    """``text``, and what stands below it where only that tells why."""
    if _THROWN in text and below and below[0].lstrip().startswith("what():"):
        return f"{text.strip()}: {below[0].partition(':')[2].strip()}"
    blank = len(list(itertools.takewhile(lambda line: not line.strip(), below[:2])))
    if not _GOES_ON.search(text) or not below[blank : blank + 1]:
        return text
    # What is said there may be but a beginning, too.
    return completed(f"{text.strip(_BOX).rstrip(':|> ')}: {below[blank].strip(_BOX)}", below[blank + 1 :])


def thrown_at(below: Sequence[str]) -> tuple[Frame, ...]:
    """Where a program was that is not Python's, the deepest place last.

    By what stands below its words, as Node, Java, Rust's compiler and sanitizers write it.
    """
    message = itertools.takewhile(lambda line: not _AT.match(line), below[:_LONGEST_PARAGRAPH])
    stack = itertools.takewhile(_AT.match, below[len(list(message)) :])
    found = [place for line in stack if (place := _PLACE.search(line)) and "/" in place[1]]
    return tuple(Frame(one["file"], int(one["line"])) for one in reversed(found))


def named_in(text: str) -> tuple[Frame, ...]:
    """The places in files that ``text`` names."""
    return tuple(Frame(one["file"], int(one["line"])) for one in _PLACE.finditer(text))


def deepest(frames: Sequence[Frame], root: str) -> Frame | None:
    """The last of ``frames`` that is in the repository."""
    below = f"{root.rstrip('/')}/"
    for frame in reversed(frames):
        if root and frame.file.startswith(below):
            return replace(frame, file=frame.file[len(below) :])
        if not root or not frame.file.startswith(("/", "../")):
            return replace(frame, file=frame.file.removeprefix("./"))
    return None


def _first_of_last(places: Sequence[int]) -> int:
    first = places[-1]
    for place in reversed(places):
        if first - place > _NEAR:
            break
        first = place
    return first


def _words(tail: Tail, at: int) -> Words:
    below = tail.lines[at + 1 : at + 1 + _NEAR]
    text = completed(tail.lines[at], below)
    # Of a stack, whose lines are indented, the deepest place comes first (Go, Java, Node).
    stack = [
        found for line in below if line[:1] in ("\t", " ") and (found := _PLACE.search(line)) and "/" in found[1]
    ]
    if above := _ABOVE.match(tail.lines[at - 1] if at else ""):
        stack.append(above)
    if below and _POINTER.match(below[0]) and (pointed := _PLACE.search(below[0])):
        stack.append(pointed)
    frames = (*(Frame(one["file"], int(one["line"])) for one in reversed(stack)), *named_in(text))
    return Words(text.strip()[:_LONGEST], tail.first + at, frames)
