"""A terminal: a table of what runs and waits, against what was expected of it, below a line for each ended test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import rich.console
import rich.live
from rich.console import Group
from rich.table import Table
from rich.text import Text

from trainci import schedule
from trainci.console.plain import Console, color_of
from trainci.model import events
from trainci.model.device import Pool
from trainci.model.run import Outcome, Phase, Run
from trainci.model.selection import Selection
from trainci.model.tests import Test
from trainci.output.screen import Screen
from trainci.reports.words import clock_time, duration
from trainci.text import counted, printable

# As much of a test's output as its last lines are looked for in, and how many of them are shown.
_TAIL = 1 << 13
_MOST_TAIL_LINES = 4
_MOST_WAITING = 3


@dataclass
class _Row:
    """A test that was started: since when, why it waits where it does, and the end of what it printed."""

    test: Test
    since: float
    state: str = ""
    tail: bytes = b""
    why: str = ""


class LiveConsole(Console):
    """The console of a person who watches. ``expected`` maps test ids to seconds.

    Of what runs it shows the last lines; where it is not to skip anything, all output scrolls by.
    """

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float],
        selection: Selection,
        pool: Pool,
        expected: Mapping[str, float],
    ) -> None:
        super().__init__(stream, clock, skips=True)
        self._tests = {selected.test.id: selected.test for selected in selection.tests}
        self._pool = pool
        self._expected = expected
        self._waiting = dict(self._tests)
        self._rows: dict[str, _Row] = {}
        self._outcomes: list[Outcome] = []
        self._lines: list[Text] = []
        self._rich = rich.console.Console(file=stream, highlight=False, soft_wrap=True)
        self._live = rich.live.Live(
            console=self._rich, get_renderable=self._render, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Console:
        self._rich.no_color = not self.colors
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._live.stop()

    def __call__(self, event: events.Event) -> None:
        """See Console; what runs is known in a quiet run, too."""
        self._track(event)
        super().__call__(event)

    def flush(self) -> None:
        """See Console. In one go: the table below is painted again each time."""
        if self._lines:
            lines, self._lines = self._lines, []
            self._rich.print(Text("\n").join(lines))

    def skipped(self, test_id: str, told: str) -> None:
        """See Console; a reader who sees only the end of the output misses none of it."""
        if not self.skips:
            super().skipped(test_id, told)

    def summary(self, run: Run, root: Path) -> None:
        """See Console; the table of running tests is gone by then."""
        self.flush()
        self._live.stop()
        super().summary(run, root)

    def _on(self, event: events.Event) -> None:
        if isinstance(event, events.Concluded) and self._planned:
            self._write(self._verdict_line(event.test_id, event.verdict))
        elif not self.skips or isinstance(event, events.Interrupted):
            super()._on(event)

    def _track(self, event: events.Event) -> None:
        match event:
            case events.Queued():
                self._waiting.pop(event.test_id, None)
                self._show_as(event, "waits for its devices")
            case events.Waiting():
                queue = "" if event.ahead is None else f", {event.ahead} ahead in the host's queue"
                self._show_as(event, f"waits{queue}")
                self._rows[event.test_id].why = event.why
            case events.Started():
                self._show_as(event, "prepares" if event.phase is Phase.PREPARE else "")
            case events.Output() if row := self._rows.get(event.test_id):
                row.tail = (row.tail + event.data)[-_TAIL:]
            case events.Ended(final=False):
                self._show_as(event, "waits for its devices")
            case events.Ended():
                self._rows.pop(event.test_id, None)
            case events.Concluded():
                self._outcomes.append(event.verdict.outcome)

    def _show_as(self, event: events.TestEvent, state: str) -> None:
        """``state`` is empty for a test that holds its devices."""
        row = self._rows.get(event.test_id)
        tail = row.tail if row else b""
        self._rows[event.test_id] = _Row(self._tests[event.test_id], event.at, state, tail)

    def _render(self) -> Group:
        now = self._clock()
        # The renderer has a thread of its own: it works on a copy.
        rows = list(self._rows.values())
        # The last line is the footer's, which is never left out, and the cursor stands below it.
        room = self._rich.size.height - 2
        shown = rows if len(rows) <= room else rows[: max(0, room - 1)]
        more = [f"▶ and {len(rows) - len(shown)} more"] if len(rows) > len(shown) else []
        room -= len(shown) + len(more)
        held_up = self._held_up(rows)
        held_up = held_up if len(held_up) <= room else []
        most = min(_MOST_TAIL_LINES, (room - len(held_up)) // max(1, len(shown)))
        parts: list[Table | Text] = []
        told = [self._told(row, now) for row in shown]
        # Below each other, where there is room for that.
        ids, devices, states = (max((len(one[cell]) for one in told), default=0) for cell in range(3))
        ids = min(ids, self._rich.size.width - len("▶   ") - devices - states)
        for row, (test_id, count, state) in zip(shown, told, strict=True):
            parts.append(_line("▶", test_id.ljust(ids), count.ljust(devices), state))
            lines = [printable(row.why)] if row.why else _last_lines(row.tail, most)
            parts += [_cut(Text(f"   {line}", style="dim")) for line in lines[:most]]
        return Group(*parts, *(_cut(Text(line)) for line in [*more, *held_up, self._footer(now)]))

    def _told(self, row: _Row, now: float) -> tuple[str, str, str]:
        """What is said of a test that was started: its id, how many devices, what it does."""
        expected = self._expected.get(row.test.id)
        against = f" of about {duration(expected)}" if expected else ""
        state = row.state or duration(now - row.since) + against
        return printable(row.test.id), counted(row.test.num_gpus, "device"), state

    def _held_up(self, rows: list[_Row]) -> list[str]:
        """What was not started yet, and why."""
        free = len(self._pool.devices) - sum(row.test.num_gpus for row in rows if row.state != "prepares")
        waiting = list(self._waiting.values())
        lines = [
            f"⏸ {printable(test.id)}: needs {counted(test.num_gpus, 'device')}, {free} free"
            if test.num_gpus > free
            else f"⏸ {printable(test.id)}: waits for its turn"
            for test in waiting[:_MOST_WAITING]
        ]
        return lines + ([f"⏸ and {len(waiting) - _MOST_WAITING} more"] if len(waiting) > _MOST_WAITING else [])

    def _footer(self, now: float) -> str:
        running = [(row.test, row.since) for row in list(self._rows.values()) if not row.state]
        in_use = sum(test.num_gpus for test, _ in running)
        passed, flaky = self._outcomes.count(Outcome.PASSED), self._outcomes.count(Outcome.FLAKY)
        kind = "virtual device" if self._pool.virtual else "device"
        parts = [
            f"{in_use} of {counted(len(self._pool.devices), kind)} in use",
            f"{passed} passed",
            *([f"{flaky} flaky"] if flaky else []),
            f"{len(self._outcomes) - passed - flaky} not passed",
            f"{len(self._waiting)} waiting",
        ]
        end = schedule.estimated_end(
            now, list(self._waiting.values()), running, len(self._pool.devices), self._expected
        )
        if end is not None and running:
            # First, as a narrow terminal cuts the end.
            parts.insert(0, f"ends about {clock_time(end)}")
        return " · ".join(parts)

    def _output_lines(self, test_id: str, lines: bytes) -> None:
        prefix = (f"{test_id} | ", "dim")
        self._lines += [Text.assemble(prefix, Text.from_ansi(line)) for line in lines.decode().split("\n")[:-1]]

    def _write_short(self, text: str) -> None:
        self._write(text)
        self._lines[-1].truncate(self._rich.width, overflow="ellipsis")

    def _write(self, text: str) -> None:
        color = color_of(text)
        self._lines.append(Text(text, style=f"color({color - 30})" if color else ""))


def _line(*cells: str) -> Table:
    """What does not fit is cut off: a second line would scroll with every repaint."""
    table = Table.grid(padding=(0, 1), expand=False)
    # Of the columns, rich narrows first those that might wrap: the ids.
    for is_id in (False, True, False, False):
        table.add_column(no_wrap=not is_id)
    # As Text: rich would take the brackets of an id for its markup.
    table.add_row(*(_cut(Text(cell)) for cell in cells))
    return table


def _cut(text: Text) -> Text:
    """``text`` on one line of whatever width there is."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _last_lines(tail: bytes, most: int) -> list[str]:
    """What a terminal would show last of the output that ends with ``tail``, the unfinished line included."""
    if not (most and tail):
        return []
    screen = Screen()
    lines = [*screen.feed(tail), *screen.finish()]
    return [printable(line) for line in lines if line.strip()][-most:]
