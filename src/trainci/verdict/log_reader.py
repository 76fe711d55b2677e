"""Pure: reads a log's lines once, in bounded memory, and keeps what may have decided how it ended."""

from __future__ import annotations

import functools
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from trainci.model.diagnosis import Blame, Frame, LogRule
from trainci.verdict import prefixes
from trainci.verdict.exceptions import FRAME, HEADLESS, PROGRAM, Tracebacks, exception_type
from trainci.verdict.hits import COMPARED, MARKS, Heard, Hit, TestOutput
from trainci.verdict.last_words import Tail
from trainci.verdict.log_rules import Matcher, matcher_of
from trainci.verdict.prefixes import Line
from trainci.verdict.pytest_report import PytestReport
from trainci.verdict.raised import Chain, Raised
from trainci.verdict.root_report import Root, RootReport
from trainci.verdict.stand_ins import STAND_INS, brings, quotes, without_name
from trainci.verdict.triage import Patterns, Triage
from trainci.verdict.went_on import RETRIED, TRIES, announces, signs_in, tries_again

T = TypeVar("T")

# A line as long as this holds data; what is wrong stands at its beginning.
_LONGEST_LINE = 4000
_KEPT = 300
_MOST_STREAMS = 4096
# So many lines that hold the same words are read where not every line is.
_MOST_ALIKE = 2000
# What servers say of themselves (uvicorn's "running on http://0.0.0.0:30000", a test's "started on port 30000").
_SERVING = ("running on", "listening", "started", "serving", "bound")
_SERVES = (*_SERVING, "ready", "ray start", "held by")
_SERVED = re.compile(
    rf"(?i)\b(?:{'|'.join(_SERVING)})\b.{{0,80}}?(?::|\bport[ =:]+)(\d{{4,5}})\b"
    r"|\bport[ =:]+(\d{4,5})\b.{0,40}\bready\b|\bray start --address=\W?[\w.-]+:(\d{4,5})\b"
    r"|\bport (\d{4,5}) (?:is )?held by\b.{0,40}\b(?:this|own)\b"
)
NAMES_A_HOST = re.compile(r"https?://|host='|\b[\w-]+(?:\.[\w-]+)+:\d+|\bto \S+ port \d+|(?:resolve|lookup) ")
# Whom a program speaks to, as a command or a log names it.
_SOMEBODY = re.compile(r"\w{1,20}://[^\s'\"<>)\]]+|\blocalhost\b|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}\b")
# What a traceback, a section of pytest's and a launcher's report begin with.
_BEGINNINGS = (
    *("traceback", '  file "', "assertionerror", "assert ", "===="),
    *("failed ", "error ", " failed", " passed", "root cause"),
    *STAND_INS,
    *_SERVES,
    *MARKS,
)
# Lines that are not read as they stand: of JSON, with a traceback in a string, with a test's name.
_UNFOLDED = frozenset({'{"', "traceback", ".py::"})
# What counts in a line that no pattern fits.
_TELLING = frozenset({*_BEGINNINGS, "error", "stopiteration", "===", "e   "})
# How Python introduces what ``__del__`` or a callback raised: the program goes on (3.14 says "while calling").
_IGNORED = re.compile(r"Exception ignored (?:in\b.*: |in .*:$|on |while )")
# What is told where the log does not have its traceback.
_LONE = frozenset({"AssertionError", *PROGRAM})
# So many lines at the end are looked through for what a program says of itself.
_TAIL = 400
# So many at the beginning say what stands before each.
_SAMPLE = 200


@dataclass
class Reading:
    """What a log says.

    ``progress`` counts signs that work went on, ``told`` lines that are no traceback's. ``passed``: pytest says
    that every test did. ``end`` is the number of the last line that says anything. ``served`` maps the ports that
    somebody said to serve to the first line that says so. ``unread``: how many lines of a very long log were passed
    over as they hold what many before them do.
    """

    chains: list[Chain]
    hits: list[Hit]
    progress: int
    told: int
    lines: int
    end: int
    root: Root | None
    passed: bool
    served: dict[str, int] = field(default_factory=dict)
    tail: Tail = field(default_factory=Tail)
    unread: int = 0


@dataclass
class _Ends(Generic[T]):
    """The first and the last of what may be any number."""

    first: list[T] = field(default_factory=list)
    rest: deque[T] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def add(self, item: T) -> None:
        (self.first if len(self.first) < _KEPT else self.rest).append(item)

    def __iter__(self) -> Iterator[T]:
        yield from self.first
        yield from self.rest


@functools.lru_cache(maxsize=4)
def triage_of(matcher: Matcher) -> Triage:
    """What finds the lines that ``matcher`` is asked about; to make it takes longer than to read a short log."""

    def says(shape: str, words: frozenset[str]) -> Patterns | None:
        fits = matcher.begun(words) if words & _UNFOLDED else matcher.fitting(shape, words)
        return fits if fits or words & _TELLING else None

    return Triage({*_UNFOLDED, *_TELLING, *matcher.words}, says)


class LogReader:
    """Takes the lines of a log in batches of any size, as a terminal would show them."""

    def __init__(self, rules: Sequence[LogRule]) -> None:
        self._matcher = matcher_of(tuple(rules))
        self._triage = triage_of(self._matcher)
        self._sample: list[str] | None = []
        self._name: re.Pattern[str] | None = None
        self._pytest = PytestReport()
        self._output = TestOutput()
        self._streams: dict[str, Tracebacks] = {}
        self._chains: _Ends[Chain] = _Ends()
        self._lone: Chain | None = None
        # By the patterns that a line may fit: which of them it does is only asked of the first and the last ones.
        self._heard: dict[tuple[int, ...], _Ends[Heard]] = {}
        self._progress = 0
        self._told = 0
        self._report = RootReport()
        self._busy = False
        self._number = 0
        self._recent: deque[str] = deque(maxlen=3)
        self._served: dict[str, int] = {}
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._alike: Counter[tuple[int, ...]] = Counter()
        self._unread = 0
        self._last: Heard | None = None

    def feed(self, batch: Sequence[str], whole: bool = True) -> None:
        """Take the next lines; not ``whole``: of those that hold the same words, as many as tell something new."""
        batch = [line[:_LONGEST_LINE] for line in batch]
        if self._sample is None:
            self._read(batch, whole)
            return
        self._sample += batch
        if len(self._sample) >= _SAMPLE:
            self._begin(self._sample)

    def _begin(self, sample: Sequence[str]) -> None:
        """Read the first lines, by which is known what stands before each."""
        self._sample = None
        self._name = prefixes.shared(sample[:_SAMPLE])
        self._read(sample)

    def _read(self, batch: Sequence[str], whole: bool = True) -> None:
        self._tail.extend(batch[-_TAIL:])
        found = self._triage.found(batch)
        if not whole:
            found = {place: patterns for place, patterns in found.items() if self._is_new(patterns)}
        coming, done = iter(found), 0
        while (place := done if self._busy else next((at for at in coming if at >= done), len(batch))) < len(batch):
            self._skip(batch[done:place])
            self._hear_of_another_try(batch[place])
            self._number += 1
            for part in prefixes.lines_of(self._number, batch[place], self._name):
                self._take(part, found.get(place, ()))
            done = place + 1
        self._skip(batch[done:])

    def _is_new(self, patterns: tuple[int, ...]) -> bool:
        self._alike[patterns] += 1
        self._unread += self._alike[patterns] > _MOST_ALIKE
        return self._alike[patterns] <= _MOST_ALIKE

    def _skip(self, lines: Sequence[str]) -> None:
        """Pass over lines that say nothing but, perhaps, that work goes on."""
        if lines:
            self._hear_of_another_try(lines[0])
            self._progress += signs_in("\n".join(lines))
            self._told += len(lines)
            self._number += len(lines)
            self._recent.extend(lines[-3:])

    def _hear_of_another_try(self, below: str) -> None:
        if self._last and self._last.line.number == self._number:
            self._last.again = self._last.again or tries_again(below)

    def finish(self) -> Reading:
        """What was found."""
        if self._sample is not None:
            self._begin(self._sample)
        found = (chain for chain in self._chains if not chain.announces)
        chains = sorted([*found, *self._pytest.finish()], key=lambda chain: chain.line)
        for chain in chains:
            self._match_raised(chain)
        hits: dict[str, _Ends[Hit]] = {}
        every = sorted((one for kept in self._heard.values() for one in kept), key=lambda one: one.line.number)
        for hit in filter(None, map(self._hit_of, every)):
            hits.setdefault(hit.rule.name, _Ends()).add(hit)
        tail = list(self._tail)
        last = [prefixes.split(0, line, self._name) for line in tail]
        errors = frozenset(place for place, line in enumerate(last) if prefixes.says_error(tail[place], line))
        return Reading(
            chains,
            sorted((hit for kept in hits.values() for hit in kept), key=lambda hit: hit.line.number),
            self._progress,
            self._told,
            self._number,
            self._end(tail),
            self._report.root,
            self._pytest.passed,
            self._served,
            Tail(self._number - len(last) + 1, [line.text for line in last], errors),
            self._unread,
        )

    def _end(self, tail: Sequence[str]) -> int:
        """The number of the last line of ``tail`` that says anything; a prefix of an empty line does not."""
        for below, line in enumerate(reversed(tail)):
            if any(part.text.strip() for part in prefixes.lines_of(0, line, self._name)):
                return self._number - below
        return self._number - len(tail)

    def _take(self, line: Line, candidates: Sequence[int]) -> None:
        if not self._pytest.take(line, self._progress, self._before):
            if not self._of_exception(line):
                self._outside(line, candidates)
            self._recent.append(line.text)
        # Then the next line counts, whatever it is.
        self._busy = self._pytest.active or self._report.active or any(s.active for s in self._streams.values())

    def _of_exception(self, line: Line) -> bool:
        stream = self._streams.get(line.stream)
        if stream is None:
            if not ("Traceback" in line.text or HEADLESS.match(line.text)) or len(self._streams) >= _MOST_STREAMS:
                return False
            stream = self._streams.setdefault(line.stream, Tracebacks())
        if (
            self._lone
            and "Traceback" in line.text
            and (line.stream, line.number - 1) == (self._lone.stream, self._lone.line)
        ):
            self._lone.announces = True
        begins = "Traceback" in line.text
        before = begins and announces(self._recent)
        stream.ignored = stream.ignored or (begins and any(map(_IGNORED.match, self._before()[-1:])))
        mine, chain = stream.feed(line)
        stream.announced = stream.announced or before
        if chain and len(chain.raised) == 1:
            chain.retried, chain.ignored = stream.announced, stream.ignored
            stream.announced = stream.ignored = False
            chain.captured = self._pytest.capturing
            self._chains.add(chain)
        if chain:
            chain.progress, chain.told = self._progress, self._told
        return mine

    def _outside(self, line: Line, candidates: Sequence[int]) -> None:
        text = line.text
        self._told += bool(text.strip())
        self._progress += signs_in(text)
        self._report.take(line)
        self._output.take(text)
        low = text.lower()
        served = _SERVED.search(text) if any(word in low for word in _SERVES) else None
        if served and len(self._served) < _MOST_STREAMS:
            self._served.setdefault(served[served.lastindex or 0], line.number)
        type_ = exception_type(text)
        if type_.rpartition(".")[2] in _LONE and not quotes(text):
            # Of a file that is no Python, which has no traceback, the place stands just above.
            places = [place for said in self._recent if (place := FRAME.match(said))]
            frames = tuple(Frame(place["file"], int(place["line"])) for place in places)
            chain = Chain(line.stream, [Raised(type_, text.strip(), line.number, frames=frames)])
            chain.captured, chain.progress, chain.told = self._pytest.capturing, self._progress, self._told
            chain.retried = RETRIED.search(text) is not None
            self._chains.add(chain)
            self._lone = chain
        elif candidates:
            capturing, above = self._pytest.capturing, tuple(self._recent)
            heard = self._last = Heard(line, tuple(candidates), above, capturing, self._progress)
            self._output.hear(heard)
            self._heard.setdefault(heard.patterns, _Ends()).add(heard)

    def _hit_of(self, heard: Heard) -> Hit | None:
        """The rule that a line fits, if it fits one."""
        quoted = quotes(heard.line.text)
        candidates = self._matcher.only(COMPARED, heard.patterns) if quoted else heard.patterns
        # pip shows what a build said further in, pytest what a test printed behind its name.
        text = without_name(heard.line.text).lstrip(" \t│")
        rule = self._fit(text, candidates)
        if (
            rule
            and (whom := self._spoken_to(text, heard.above))
            and (rule.blame is Blame.UNSURE or self._matcher.refuses(rule, whom))
        ):
            more = f"{text} {whom}"
            rule = self._fit(more, self._matcher.candidates(more))
        if rule is None or (rule.blame is Blame.MACHINE and brings((text, *heard.above))):
            return None
        again = heard.again or TRIES.search(text) is not None
        retried = again or RETRIED.search(text) is not None
        return Hit(rule, heard.line, retried, heard.captured, heard.progress, again, heard.told)

    def _fit(self, text: str, candidates: Sequence[int]) -> LogRule | None:
        return next((rule for rule, _ in self._matcher.matches(text, candidates) if not rule.within), None)

    def _before(self) -> list[str]:
        """The lines right above, without what stands before each."""
        return self._plain(self._recent)

    def _plain(self, lines: Iterable[str]) -> list[str]:
        return [prefixes.split(0, said, self._name).text for said in lines]

    def _spoken_to(self, text: str, above: Sequence[str]) -> str:
        """Whom a line that names nobody is about: who is named right above, as in the command that is shown."""
        if NAMES_A_HOST.search(text) or _SOMEBODY.search(text):
            return ""
        return next((match[0] for said in reversed(self._plain(above)) if (match := _SOMEBODY.search(said))), "")

    def _match_raised(self, chain: Chain) -> None:
        for raised in chain.raised:
            said = raised.said
            for text in raised.texts:
                candidates = self._matcher.candidates(text)
                found = self._matcher.matches(text, candidates, raised.libraries, raised.source)
                raised.fits += [(rule, starts and text == said) for rule, starts in found]
