"""Plain lines, each with its time: for logs and pipes. What the other consoles vary."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from trainci.model import events
from trainci.model.run import Cause, Ending, Outcome, Phase, Result, Run
from trainci.output.screen import Screen
from trainci.reports import items_of, last_lines, why
from trainci.text import counted, printable

_SHOWN_LINES = 15
_SHOWN_ITEMS = 20
# The color of each outcome that has one, as a code of ECMA-48's SGR.
COLORS = {"passed": 32, "failed": 31, "timed out": 31, "refused": 31, "machine's fault": 33}


class Console:
    """Paints what it is told of a run, and sums it up at the end, from one thread (see ``painter``).

    ``skips``: what nobody could read so fast need not be painted. ``hurried`` is set once the run is interrupted:
    what is long is not painted any more. ``quiet``: only what did not pass, and the last line. ``colors``: outcomes
    have their color.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float], skips: bool = False) -> None:
        self._stream = stream
        self._clock = clock
        self._screens: dict[str, Screen] = {}
        self.skips = skips
        self.hurried = False
        self.quiet = False
        self.colors = False

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def __call__(self, event: events.Event) -> None:
        """Paint an event of the run."""
        if not self.quiet or isinstance(event, events.Interrupted):
            self._on(event)

    def note(self, text: str) -> None:
        """Say something that no event says."""
        self._write(printable(text))

    def skipped(self, test_id: str, lines: int) -> None:
        """So many lines of a test will not be painted."""
        self._screens.pop(test_id, None)
        if lines and not self.quiet:
            self._write(f"{test_id} | … {lines:,} lines more in the log")

    def summary(self, run: Run, root: Path) -> None:
        """What became of each test, and for each that did not pass its last lines, its log and how to replay it."""
        self._write("")
        for result in run.results:
            if self.quiet and result.verdict.outcome is Outcome.PASSED:
                continue
            self._write(printable(_result_line(result)))
            self._items(result)
            if result.verdict.outcome not in (Outcome.PASSED, Outcome.SKIPPED):
                self._details(run, result, root)
        self._write(totals(run))

    def _items(self, result: Result) -> None:
        """The items that did not pass, and every step."""
        items, more = items_of(result, _SHOWN_ITEMS)
        steps = bool(result.attempts and result.attempts[-1].test.steps)
        for item in items:
            if steps or item.outcome != "passed":
                why = printable(item.message.partition("\n")[0])
                self._write(f"    {item.outcome:<11} {item.name}" + (f": {why}" if why else ""))
        if more:
            self._write(f"    and {counted(more, 'item')} more")

    def _details(self, run: Run, result: Result, root: Path) -> None:
        if said := why(result.verdict):
            self._write(f"    why:    {said}")
        if result.attempts:
            log = result.attempts[-1].log
            for line in last_lines(root / log, _SHOWN_LINES):
                self._write(f"    | {line}")
            self._write(f"    log:    {log}")
        if replay := run.replay.get(result.test_id):
            self._write(f"    replay: {printable(replay)}")

    def _on(self, event: events.Event) -> None:
        match event:
            case events.Output():
                self._output(event.test_id, event.data)
                return
            case events.Ended():
                self._finish(event.test_id)
        if text := _sentence(event):
            self._write(f"[{clock_time(event.at)}] {printable(text)}")

    def _output(self, test_id: str, data: bytes) -> None:
        screen = self._screens.get(test_id)
        if screen is None:
            screen = self._screens[test_id] = Screen(colors=True)
        self._output_text(test_id, screen.feed_text(data))

    def _finish(self, test_id: str) -> None:
        if screen := self._screens.pop(test_id, None):
            self._output_text(test_id, "".join(f"{line}\n" for line in screen.finish()))

    def _output_text(self, test_id: str, text: str) -> None:
        """Whole lines, each with its end."""
        if text:
            begin = f"{test_id} | "
            self._write(begin + text[:-1].replace("\n", f"\n{begin}"))

    def _write(self, text: str) -> None:
        color = next((code for word, code in COLORS.items() if text.startswith(word)), 0) if self.colors else 0
        self._stream.write(f"\033[{color}m{text}\033[0m\n" if color else f"{text}\n")
        self._stream.flush()


def totals(run: Run) -> str:
    """The last line of a run: how many tests ended how, in what time, on what."""
    counts = dict.fromkeys(Outcome, 0)
    for result in run.results:
        counts[result.verdict.outcome] += 1
    parts = [f"{count} {outcome.value}" for outcome, count in counts.items() if count] or ["no tests"]
    nothing_ran = "nothing ran: " if counts[Outcome.SKIPPED] == len(run.results) > 0 else ""
    return f"{nothing_ran}{', '.join(parts)} in {duration(run.ended_at - run.started_at)} · {run.devices}"


def _sentence(event: events.Event) -> str:
    match event:
        case events.Waiting():
            return f"{event.test_id}: waits for its devices, {event.ahead} ahead in the host's queue"
        case events.Granted() if event.devices:
            return f"{event.test_id}: granted {', '.join(event.devices)}"
        case events.Started(phase=Phase.PREPARE):
            return f"{event.test_id}: prepares, attempt {event.attempt}; it holds no device yet"
        case events.Started():
            return f"{event.test_id}: started, attempt {event.attempt}"
        case events.Ended(final=False):
            return f"{event.test_id}: prepared"
        case events.Ended(ending=Ending(cause=Cause.LOST | Cause.NEVER_STARTED, detail=detail)):
            return f"{event.test_id}: attempt {event.attempt} was lost: {detail}"
        case events.Concluded():
            return f"{event.test_id}: {event.verdict.outcome.value}, {event.verdict.sentence}"
        case events.Interrupted():
            return "interrupted: ending every test; the reports are still written"
        case _:
            return ""


def _result_line(result: Result) -> str:
    return f"{result.verdict.outcome.value:<15} {result.test_id}: {result.verdict.sentence}"


def clock_time(at: float) -> str:
    """A Unix time as people read it on a clock, in the local zone."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def duration(seconds: float) -> str:
    """``5.4 s``, ``1 min 34 s``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"
