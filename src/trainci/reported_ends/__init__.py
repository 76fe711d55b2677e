"""What the processes of a job say of how they, and the tests in them, ended (``trainci.probe.ends``). Pure.

What failed and was made good later is no failure: the same tests that passed in a run that began later, the same
process that was started again and ended well, a child whose exit code somebody asked for. The lines come from a
test's own processes: whatever they hold is bounded, and no line says that a test passed where its command failed.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from trainci.model.run import Failure
from trainci.model.tests import Expects
from trainci.reported_ends.lines import WHERE, Begun, End, Framework, Good, Raised, Sent, read
from trainci.text import printable

__all__ = ["End", "Log", "failures", "frameworks", "read"]
_MOST_SHOWN = 3
# A look goes through the whole log, which may have gigabytes.
_MOST_LOOKS = 100
# https://docs.pytest.org/en/stable/reference/exit-codes.html: interrupted, internal error, wrong usage.
_PYTEST_STOPPED = {2: "it was interrupted", 3: "it had an error of its own", 4: "it could not begin"}
_NOTHING_COLLECTED = 5
_FIXTURE = re.compile(r"\w+ \((?P<of>[^()]+)\)")
# What ends a process that read from another one, which had left.
_OTHER_LEFT = (
    "EOFError",
    "BrokenPipeError",
    "ConnectionResetError",
    "ConnectionRefusedError",
    "ConnectionAbortedError",
)
_NOTHING = Expects()


@dataclass(frozen=True)
class Log:
    """What a job's log answers: whether it ``shows`` a text; how many runs of a framework ``ended`` in it."""

    shows: Callable[[str], bool]
    ended: Callable[[str], int]


@dataclass
class _Later:
    """What came after an end, gathered from the last one backwards, so that many ends take no long time.

    ``passed`` are the names that passed in runs of one framework in one place, and what they are a part of.
    ``well`` and ``programs`` are processes that ended well, each with how much was told before the last one began.
    ``over`` are the frameworks that came to their end, each with its process, ``good`` those of a run in which
    tests passed and none failed.
    """

    passed: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    over: set[tuple[str, int]] = field(default_factory=set)
    good: set[str] = field(default_factory=set)
    well: dict[tuple[str, str], float] = field(default_factory=dict)
    programs: dict[str, float] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)

    def add(self, end: End) -> None:
        if isinstance(end, Framework):
            self.over.add((end.by, end.pid))
            if end.passed and not end.failed:
                self.good.add(end.by)
        elif isinstance(end, Good):
            of = (end.who, end.env)
            self.well[of] = max(end.after, self.well.get(of, 0))
            self.programs[end.program] = max(end.after, self.programs.get(end.program, 0))
            self.asked.add(end.pid)

    def add_begin_of(self, run: Framework) -> None:
        self.passed[run.by, run.root].update(part for name in run.passed for part in _parts(name))

    def has_ended(self, begun: Begun) -> bool:
        """It came to its end, or another run of its framework was good."""
        return (begun.by, begun.pid) in self.over or begun.by in self.good

    def has_passed(self, name: str, end: Framework) -> bool:
        """It passed, or what it stands for: a file that was not read, a class whose set-up failed."""
        fixture = _FIXTURE.fullmatch(name)
        return (fixture["of"] if fixture else name) in self.passed[end.by, end.root]

    def made_good(self, end: Raised, *, again: bool) -> bool:
        """Another try of it ended well, or somebody asked how it ended; ``again``: whatever the arguments."""
        tried = bool(end.who) and self.well.get((end.who, end.env), 0) > end.at
        # Who asks for the exit code of a program may only print it: that an assertion failed says more.
        same = tried or bool(end.pid and end.how != "process" and end.pid in self.asked)
        return same or bool(again and end.program and self.programs.get(end.program, 0) > end.at)


def _from_the_last(ends: Sequence[End]) -> Iterator[tuple[End, _Later]]:
    """Each of them, with what came after it."""
    later, begins = _Later(), _begins(ends)
    for place in reversed(range(len(ends))):
        yield ends[place], later
        later.add(ends[place])
        for run in begins[place]:
            later.add_begin_of(run)


def _begins(ends: Sequence[End]) -> dict[int, list[Framework]]:
    """The runs of frameworks by the places where they began; of one that did not say so, by that of its end."""
    found: dict[int, list[Framework]] = defaultdict(list)
    begun: dict[tuple[str, int], list[int]] = defaultdict(list)
    for place, end in enumerate(ends):
        if isinstance(end, Begun):
            begun[end.by, end.pid].append(place)
        elif isinstance(end, Framework):
            open_ = begun[end.by, end.pid]
            found[open_.pop() if open_ else place].append(end)
    return found


def _parts(name: str) -> Iterator[str]:
    """A test and what it is a part of: of ``a/b.py::T::x`` file and folders, of ``m.T.x`` class and module."""
    yield name
    separator = "::" if "::" in name else "."
    while separator in name:
        name = name.rpartition(separator)[0]
        yield name
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def frameworks(ends: Sequence[End]) -> frozenset[str]:
    """The frameworks that said how each run of theirs ended."""
    reported = {end.by for end in ends if isinstance(end, Framework)}
    return frozenset(reported - {begun.by for begun in _never_ended(ends)})


def failures(
    ends: Sequence[End], log: Log, expects: Expects = _NOTHING, command: Sequence[str] = ()
) -> tuple[Failure, ...]:
    """What failed and nothing made good, each once; certain, but for what the test ``expects`` by itself.

    ``command`` is the job's own, whose exit code was 0.
    """
    found: list[Failure] = []
    shows = _bounded(log.shows)
    sent = {end.pid for end in ends if isinstance(end, Sent)}
    own = " ".join(command)
    left: dict[int, Failure] = {}
    # Whose exit code tells of tests that the framework tells of, and that may have been made good.
    tells_of_tests = any(isinstance(end, Framework) and end.failed for end in ends)
    for end, later in _from_the_last(ends):
        failure = None
        if isinstance(end, Framework):
            failure = _of_framework(end, later)
        elif isinstance(end, Raised) and end.how == "left":
            if end.pid not in sent and (failure := _of_raised(end, later, shows, expects)):
                left[end.pid] = replace(failure, certain=failure.certain and not tells_of_tests)
                continue
        elif isinstance(end, Raised):
            failure = _of_raised(end, later, shows, expects)
            if failure and end.how == "process" and command and end.who.rstrip() == own:
                # It ended so, and something made a 0 of it.
                failure = replace(failure, certain=True)
            if failure and end.how in ("child", "process") and (code := left.pop(end.pid, None)):
                # Why it had that code is said by what it raised.
                certain = failure.certain or (code.certain and end.type not in _OTHER_LEFT)
                failure = replace(failure, certain=certain)
        if failure:
            found.append(failure)
    found += left.values()
    runs = [end for end in ends if isinstance(end, Framework)]
    if runs and all(run.code == _NOTHING_COLLECTED and not run.good and not run.failed for run in runs):
        found.append(Failure(f"{runs[0].by} said: no tests ran"))
    if left_out := sum(run.left_out for run in runs if run.left_out > 0):
        was = "a test" if left_out == 1 else f"{left_out} tests"
        found.append(Failure(f"its configuration or a plugin left {was} out", certain=False))
    for by, count in Counter(begun.by for begun in _never_ended(ends)).items():
        # A process that became another program, which knows of nothing, ended there.
        if log.ended(by) < count + sum(run.by == by for run in runs):
            found.append(Failure(f"{by} did not come to its end"))
    return tuple(dict.fromkeys(reversed(found)))


def _of_framework(end: Framework, later: _Later) -> Failure | None:
    left = [name for name in end.failed if not later.has_passed(name, end)]
    if left or end.more:
        shown = left[:_MOST_SHOWN]
        rest = len(left) + end.more - len(shown)
        names = f"{', '.join(shown)} and {rest} more" if rest else ", ".join(shown)
        return Failure(f"{end.by} said: {end.said} ({names})")
    stopped = _PYTEST_STOPPED.get(end.code) if end.by == "pytest" and not end.failed else None
    passed = later.passed[end.by, end.root]
    return Failure(f"pytest said: exit code {end.code}, {stopped}") if stopped and not passed else None


def _never_ended(ends: Sequence[End]) -> list[Begun]:
    """What was ended in the middle of its tests, and was not run again."""
    return [end for end, later in _from_the_last(ends) if isinstance(end, Begun) and not later.has_ended(end)]


def _bounded(shows: Callable[[str], bool]) -> Callable[[str], bool]:
    """``shows``, asked once for each text, and of so many; more are taken as shown, which is never green."""
    known: dict[str, bool] = {}

    def asked(text: str) -> bool:
        if text not in known:
            known[text] = len(known) >= _MOST_LOOKS or shows(text)
        return known[text]

    return asked


def _of_raised(end: Raised, later: _Later, shows: Callable[[str], bool], expects: Expects) -> Failure | None:
    if end.place is None or later.made_good(end, again=expects.again):
        return None
    file, line = end.place
    # Whoever keeps what a process says away from the log may read it.
    if not end.told and end.how != "future" and not shows(f'"{file}", line {line}'):
        return None
    said = f": {end.said}" if end.said else ""
    shown = printable(file.removeprefix(f"{end.directory}/"))
    certain = end.assertion and not _asks(end) and not _is_looked_for(end, expects)
    return Failure(f"{WHERE[end.how]} {end.type} at {shown}:{line}{said}", certain)


def _is_looked_for(end: Raised, expects: Expects) -> bool:
    return any(text in f"{end.type}: {end.said}" for text in expects.texts)


def _asks(end: Raised) -> bool:
    """It is the one line of a `python -c`, by which a script asks something: `if python -c "assert x"; then`."""
    return end.how == "process" and end.place == ("<string>", 1)
