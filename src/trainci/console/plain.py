"""Plain lines, each with its time: for logs and pipes. What the other consoles vary."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from trainci.model import events
from trainci.model.run import Cause, Ending, Outcome, Phase, Result, Run, Verdict
from trainci.output.screen import Screen
from trainci.paths import from_here
from trainci.reports import items_of, telling_lines
from trainci.reports.reason import particulars, reason, red
from trainci.reports.words import accept_commands, clock_time, totals
from trainci.text import counted, listed, printable, shortened
from trainci.verdict.gates import announced

_SHOWN_LINES = 15
_SHOWN_ITEMS = 20
# Of a line that is told whole elsewhere.
_LONGEST_SHORT = 300
# The color of each outcome that has one, as a code of ECMA-48's SGR.
_COLORS = {
    "passed": 32,
    "flaky": 33,
    "failed": 31,
    "timed out": 31,
    "hung": 31,
    "refused": 31,
    "machine's fault": 33,
    "unsure": 33,
}
# Why an attempt is tried again, as policy has it, and none of its test's doing.
_LOST = frozenset({Cause.LOST, Cause.NEVER_STARTED, Cause.PREEMPTED, Cause.REQUEUED, Cause.NODE_FAILED})
# An outcome begins a line, or follows what it counts: [12:00:00] [3/12] passed.
_OUTCOME = re.compile(r"(?:\[[\d:/]+\] )*(" + "|".join(_COLORS) + r")\b")


class Console:
    """Paints what it is told of a run, and sums it up at the end, from one thread (see ``painter``).

    ``skips``: what nobody could read so fast need not be painted. ``hurried`` is set once the run is interrupted:
    what is long is not painted any more. ``quiet``: only what did not pass, and the last line. ``colors``: outcomes
    have their color. ``whole``: all that an attempt prints, and not only its beginning and its end.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float], skips: bool = False) -> None:
        self._stream = stream
        self._clock = clock
        self._screens: dict[str, Screen] = {}
        self._planned: frozenset[str] = frozenset()
        self._concluded = 0
        self.skips = skips
        self.hurried = False
        self.quiet = False
        self.colors = False
        self.whole = False

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def __call__(self, event: events.Event) -> None:
        """Paint an event of the run."""
        match event:
            case events.RunStarted():
                self._planned = frozenset(test.test_id for test in event.tests)
            case events.Concluded() if event.test_id in self._planned:
                self._concluded += 1
        if not self.quiet or isinstance(event, events.Interrupted):
            self._on(event)

    def flush(self) -> None:
        """All that was painted is to be seen."""
        self._stream.flush()

    def note(self, text: str) -> None:
        """Say something that no event says."""
        self._write(printable(text))

    def skipped(self, test_id: str, told: str) -> None:
        """Some of what a test printed will not be painted; ``told`` says it, if anybody is to know."""
        if told and not self.quiet:
            self._finish(test_id)
            self._write(f"{test_id} | … {printable(told)}")
        self._screens.pop(test_id, None)

    def summary(self, run: Run, root: Path) -> None:
        """Each test that is red, with all that tells why; then a line for each of them, and the counts.

        Last is where the eye is.
        """
        found = red(run)
        for result in found:
            self._details(run, result, root)
        self._write("")
        alike: dict[tuple[Outcome, str], list[str]] = {}
        for result in found:
            said = (result.verdict.outcome, reason(result.verdict))
            if _is_told_by_its_line(run, result):
                alike.setdefault(said, []).append(result.test_id)
            else:
                self._write_short(_line_of(*said, [result.test_id]))
        for said, ids in alike.items():
            # Whole, as it may end with a flag to copy.
            self._write(_line_of(*said, ids))
        for sentence in announced(run.results):
            self._write(sentence)
        self._write(totals(run))

    def _details(self, run: Run, result: Result, root: Path) -> None:
        if _is_told_by_its_line(run, result):
            return
        verdict = result.verdict
        self._write("")
        self._write(f"{verdict.outcome.value}: {printable(result.test_id)}")
        self._write(f"    {reason(verdict)}")
        for label, text in particulars(verdict):
            self._write(f"    {label + ':':<7} {text}")
        self._items(result)
        if result.attempts:
            log = result.attempts[-1].log
            for line in telling_lines(root / log, verdict.diagnosis, _SHOWN_LINES):
                self._write(f"    | {line}")
            self._write(f"    log:    {from_here(root, log)}")
        if replay := run.replay.get(result.test_id):
            self._write(f"    replay: {printable(replay)}")
        for command in accept_commands(result, run):
            self._write(f"    meant?  {printable(command)}")

    def _items(self, result: Result) -> None:
        """The items that did not pass, and every step."""
        items, more = items_of(result, _SHOWN_ITEMS)
        steps = bool(result.attempts and result.attempts[-1].test.steps)
        for item in items:
            if steps or item.outcome != "passed":
                why = printable(item.message.partition("\n")[0])
                self._write(f"    {item.outcome:<7} {item.name}" + (f": {why}" if why else ""))
        if more:
            self._write(f"    and {counted(more, 'item')} more")

    def _on(self, event: events.Event) -> None:
        match event:
            case events.Output():
                self._output(event.test_id, event.data)
                return
            case events.Ended():
                self._finish(event.test_id)
        if isinstance(event, events.Concluded) and not self._planned:
            # Nothing is to be waited for: the end says it in a moment.
            return
        if text := self._sentence(event):
            self._write(f"[{clock_time(event.at)}] {printable(text)}")

    def _sentence(self, event: events.Event) -> str:
        if isinstance(event, events.Concluded):
            return self._verdict_line(event.test_id, event.verdict)
        return _sentence(event)

    def _verdict_line(self, test_id: str, verdict: Verdict) -> str:
        """``[3/12] passed tests/test_a.py in 1.0 s``; what could not be run does not count."""
        counter = f"[{self._concluded}/{len(self._planned)}] " if test_id in self._planned else ""
        why = shortened(reason(verdict), _LONGEST_SHORT)
        passed = verdict.outcome is Outcome.PASSED
        told = f"{test_id} {verdict.sentence}" if passed else _named(printable(test_id), why)
        return printable(f"{counter}{verdict.outcome.value} {told}")

    def _output(self, test_id: str, data: bytes) -> None:
        screen = self._screens.get(test_id)
        if screen is None:
            screen = self._screens[test_id] = Screen(colors=True)
        self._output_lines(test_id, screen.feed_bytes(data))

    def _finish(self, test_id: str) -> None:
        if screen := self._screens.pop(test_id, None):
            self._output_lines(test_id, "".join(f"{line}\n" for line in screen.finish()).encode())

    def _output_lines(self, test_id: str, lines: bytes) -> None:
        """Whole lines, each with its end, in UTF-8."""
        if lines:
            begin = f"{test_id} | "
            self._write(begin + lines[:-1].replace(b"\n", f"\n{begin}".encode()).decode())

    def _write_short(self, text: str) -> None:
        """A line that may be cut: all of it was said before."""
        self._write(shortened(text, _LONGEST_SHORT))

    def _write(self, text: str) -> None:
        color = color_of(text) if self.colors else 0
        self._stream.write(f"\033[{color}m{text}\033[0m\n" if color else f"{text}\n")


def color_of(line: str) -> int:
    """The color of the outcome that ``line`` tells, 0 where it tells none."""
    found = _OUTCOME.match(line)
    return _COLORS[found[1]] if found else 0


def _sentence(event: events.Event) -> str:
    match event:
        case events.Waiting(ahead=None):
            return f"{event.test_id}: waits: {event.why}"
        case events.Waiting():
            whom = f": {event.why}" if event.why else ""
            return f"{event.test_id}: waits for its devices, {event.ahead} ahead in the host's queue{whom}"
        case events.Queued(why=why) if why:
            return f"{event.test_id}: repeats it, attempt {event.attempt}: {why}"
        case events.Granted() if event.devices:
            return f"{event.test_id}: granted {', '.join(event.devices)}"
        case events.Started(phase=Phase.PREPARE):
            return f"{event.test_id}: prepares, attempt {event.attempt}; it holds no device yet"
        case events.Started():
            return f"{event.test_id}: started, attempt {event.attempt}"
        case events.Ended(final=False):
            return f"{event.test_id}: prepared"
        case events.Ended(ending=Ending(cause=cause, detail=detail)) if cause in _LOST:
            return f"{event.test_id}: attempt {event.attempt} was lost: {detail}"
        case events.Interrupted():
            return "interrupted: ending every test; the reports are still written"
        case _:
            return ""


def _is_told_by_its_line(run: Run, result: Result) -> bool:
    """Whether nothing is known of a test that never began but the reason."""
    return not (result.attempts or result.test_id in run.replay or particulars(result.verdict))


def _line_of(outcome: Outcome, said: str, ids: Sequence[str]) -> str:
    return f"{outcome.value:<15} {_named(listed(ids, len(ids)), said)}"


def _named(name: str, said: str) -> str:
    """What is said of ``name``, which may itself begin with it as a place."""
    return said if said.startswith(f"{name}:") else f"{name}: {said}"
