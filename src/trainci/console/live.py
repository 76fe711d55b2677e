"""A terminal: output scrolls above a table of what runs, against what was expected of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

import rich.console
import rich.live
from rich.console import Group
from rich.table import Table
from rich.text import Text

from trainci import schedule
from trainci.console.plain import COLORS, Console, clock_time, duration
from trainci.model import events
from trainci.model.device import Pool
from trainci.model.run import Outcome, Phase, Run
from trainci.model.selection import Selection
from trainci.model.tests import Test
from trainci.text import counted


class LiveConsole(Console):
    """The console of a person who watches. ``expected`` maps test ids to seconds."""

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
        self._running: dict[str, tuple[Test, float, str]] = {}
        self._outcomes: list[Outcome] = []
        self._rich = rich.console.Console(file=stream, highlight=False, soft_wrap=True)
        self._live = rich.live.Live(
            console=self._rich, get_renderable=self._render, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Console:
        self._rich.no_color = not self.colors
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _on(self, event: events.Event) -> None:
        self._track(event)
        super()._on(event)

    def summary(self, run: Run, root: Path) -> None:
        """See Console; the table of running tests is gone by then."""
        self._live.stop()
        super().summary(run, root)

    def _track(self, event: events.Event) -> None:
        match event:
            case events.Queued():
                self._waiting.pop(event.test_id, None)
                self._show_as(event, "waiting for devices")
            case events.Started():
                self._show_as(event, "prepares" if event.phase is Phase.PREPARE else "")
            case events.Ended(final=False):
                self._show_as(event, "waiting for devices")
            case events.Ended():
                self._running.pop(event.test_id, None)
            case events.Concluded():
                self._outcomes.append(event.verdict.outcome)

    def _show_as(self, event: events.TestEvent, state: str) -> None:
        """``state`` is empty for a test that holds its devices."""
        self._running[event.test_id] = (self._tests[event.test_id], event.at, state)

    def _render(self) -> Group:
        table = Table(box=None, show_header=False, pad_edge=False)
        # What does not fit is cut off: a second line would scroll with every repaint.
        # Of the columns, rich narrows first those that might wrap: the ids.
        for is_id in (False, True, False, False):
            table.add_column(no_wrap=not is_id)
        now = self._clock()
        # The renderer has a thread of its own: it works on a copy.
        for test, since, state in list(self._running.values()):
            expected = self._expected.get(test.id)
            against = f" of about {duration(expected)}" if expected else ""
            cells = ("▶", test.id, counted(test.num_gpus, "device"), state or duration(now - since) + against)
            # As Text: rich would take the brackets of an id for its markup.
            table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells))
        return Group(table, Text(self._footer(now), no_wrap=True, overflow="ellipsis"))

    def _footer(self, now: float) -> str:
        running = [(test, since) for test, since, state in list(self._running.values()) if not state]
        in_use = sum(test.num_gpus for test, _ in running)
        passed = self._outcomes.count(Outcome.PASSED)
        kind = "virtual device" if self._pool.virtual else "device"
        parts = [
            f"{in_use} of {counted(len(self._pool.devices), kind)} in use",
            f"{passed} passed",
            f"{len(self._outcomes) - passed} not passed",
            f"{len(self._waiting)} waiting",
        ]
        end = schedule.estimated_end(
            now, list(self._waiting.values()), running, len(self._pool.devices), self._expected
        )
        if end is not None and running:
            parts.append(f"ends about {clock_time(end)}")
        return " · ".join(parts)

    def _output_text(self, test_id: str, text: str) -> None:
        # In one go: the table below is painted again each time.
        lines = text.split("\n")[:-1]
        painted = [Text(f"{test_id} | ", style="dim") + Text.from_ansi(line) for line in lines]
        if painted:
            self._rich.print(Text("\n").join(painted))

    def _write(self, line: str) -> None:
        style = next((f"color({code - 30})" for word, code in COLORS.items() if line.startswith(word)), "")
        self._rich.print(Text(line, style=style))
