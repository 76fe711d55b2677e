"""Paints a run: live on a terminal, as plain lines elsewhere, in foldable groups under GitHub Actions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from trainci import github, schedule
from trainci.model import Event, Outcome, Pool, Result, Run, Selection, Test, counted
from trainci.reports import last_lines

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN_LINES = 15


class Console:
    """Plain lines, each with its time: for logs and pipes. The other consoles vary it."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._partial: dict[str, str] = {}

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def __call__(self, event: Event) -> None:
        """Listen to the run."""
        if event.kind == "output":
            self._output(event.test_id, event.data["text"])
            return
        if event.kind in ("prepared", "ended"):
            self._flush_partial(event.test_id)
        if text := _sentence(event):
            self._say(event, text)

    def note(self, text: str) -> None:
        """Say something that no event says."""
        self._write(text)

    def summary(self, run: Run, root: Path) -> None:
        """What became of each test, and for each that did not pass its last lines, its log and how to replay it."""
        self._write("")
        for result in run.results:
            self._write(_result_line(result))
            if result.verdict.outcome not in (Outcome.PASSED, Outcome.SKIPPED):
                self._details(run, result, root)
        self._write(totals(run))

    def _details(self, run: Run, result: Result, root: Path) -> None:
        if result.attempts:
            log = result.attempts[-1].log
            for line in last_lines(root / log, _SHOWN_LINES):
                self._write(f"    | {line}")
            self._write(f"    log:    {log}")
        if replay := run.replay.get(result.test_id):
            self._write(f"    replay: {replay}")

    def _output(self, test_id: str, text: str) -> None:
        *lines, rest = (self._partial.get(test_id, "") + text).split("\n")
        self._partial[test_id] = rest.rpartition("\r")[2]
        for line in lines:
            self._output_line(test_id, line.rstrip("\r").rpartition("\r")[2])

    def _flush_partial(self, test_id: str) -> None:
        if rest := self._partial.pop(test_id, ""):
            self._output_line(test_id, rest)

    def _output_line(self, test_id: str, line: str) -> None:
        self._write(f"{test_id} | {line}")

    def _say(self, event: Event, text: str) -> None:
        self._write(f"[{_clock_time(event.at)}] {text}")

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


class GithubConsole(Console):
    """One foldable group per test; nothing that a test prints or is called is taken for a workflow command.

    Groups cannot nest, so one test at a time streams into its group, and those that end meanwhile follow from
    their logs.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float], root: Path, token: str) -> None:
        super().__init__(stream, clock)
        self._root = root
        self._token = token
        self._logs: dict[str, Path] = {}
        self._open = ""
        self._stopped = False
        self._held_back: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Listen to the run."""
        own = event.test_id == self._open
        if event.kind == "queued":
            self._logs[event.test_id] = self._root / event.data["log"]
        if event.kind in ("preparing", "started") and not self._open:
            self._open_group(event.test_id)
        if event.kind == "output" and not own:
            return
        if self._open and event.test_id and not own:
            if event.kind in ("ended", "verdict"):
                self._held_back.append(event)
            return
        super().__call__(event)
        if event.kind == "ended":
            self._end(event.test_id)

    def _end(self, test_id: str) -> None:
        if test_id == self._open:
            self._close_group()
        else:
            self._open_group(test_id)
            with self._logs[test_id].open(encoding="utf-8", errors="replace") as log:
                for line in log:
                    self._output_line(test_id, line.rstrip("\n"))
            self._close_group()
        held_back, self._held_back = self._held_back, []
        for event in held_back:
            self(event)

    def _details(self, run: Run, result: Result, root: Path) -> None:
        file = result.test_id.partition("[")[0]
        self._command(github.annotation(result.verdict.sentence, file=file, line=1, title=result.test_id))
        self._stop_commands()
        super()._details(run, result, root)
        self._resume_commands()

    def _open_group(self, test_id: str) -> None:
        self._open = test_id
        self._command(github.group(test_id))
        self._stop_commands()

    def _close_group(self) -> None:
        self._open = ""
        self._resume_commands()
        self._command(github.END_GROUP)

    def _stop_commands(self) -> None:
        self._command(github.stop_commands(self._token))
        self._stopped = True

    def _resume_commands(self) -> None:
        self._command(github.resume_commands(self._token))
        self._stopped = False

    def _command(self, command: str) -> None:
        super()._write(command)

    def _write(self, line: str) -> None:
        super()._write(line if self._stopped else github.inert(line))


class LiveConsole(Console):
    """A terminal: output scrolls above a table of what runs, against what was expected of it."""

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float],
        selection: Selection,
        pool: Pool,
        expected: Mapping[str, float],
    ) -> None:
        import rich.console
        import rich.live

        super().__init__(stream, clock)
        self._tests = {selected.test.id: selected.test for selected in selection.tests}
        self._pool = pool
        self._expected = expected
        self._waiting = dict(self._tests)
        self._running: dict[str, tuple[Test, float, str]] = {}
        self._outcomes: list[str] = []
        self._rich = rich.console.Console(file=stream, highlight=False, soft_wrap=True)
        self._live = rich.live.Live(
            console=self._rich, get_renderable=self._render, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Console:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Listen to the run."""
        self._track(event)
        super().__call__(event)

    def summary(self, run: Run, root: Path) -> None:
        """See Console; the table of running tests is gone by then."""
        self._live.stop()
        super().summary(run, root)

    def _track(self, event: Event) -> None:
        if event.kind == "queued":
            self._waiting.pop(event.test_id, None)
            self._running[event.test_id] = (self._tests[event.test_id], event.at, "waiting for devices")
        elif event.kind == "preparing":
            self._running[event.test_id] = (self._tests[event.test_id], event.at, "prepares")
        elif event.kind == "prepared":
            self._running[event.test_id] = (self._tests[event.test_id], event.at, "waiting for devices")
        elif event.kind == "started":
            self._running[event.test_id] = (self._tests[event.test_id], event.at, "")
        elif event.kind == "ended":
            self._running.pop(event.test_id, None)
        elif event.kind == "verdict":
            self._outcomes.append(event.data["outcome"])

    def _render(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, pad_edge=False)
        now = self._clock()
        # The renderer has a thread of its own: it works on a copy.
        for test, since, state in list(self._running.values()):
            expected = self._expected.get(test.id)
            against = f" of about {_duration(expected)}" if expected else ""
            cells = ("▶", test.id, counted(test.num_gpus, "device"), state or _duration(now - since) + against)
            # As Text: rich would take the brackets of an id for its markup.
            table.add_row(*map(Text, cells))
        table.add_row("", Text(self._footer(now)))
        return table

    def _footer(self, now: float) -> str:
        running = [(test, since) for test, since, state in list(self._running.values()) if not state]
        in_use = sum(test.num_gpus for test, _ in running)
        passed = self._outcomes.count(Outcome.PASSED.value)
        parts = [
            f"{in_use} of {self._pool.sentence} in use",
            f"{passed} passed",
            f"{len(self._outcomes) - passed} not passed",
            f"{len(self._waiting)} waiting",
        ]
        end = schedule.estimated_end(
            now, list(self._waiting.values()), running, len(self._pool.devices), self._expected
        )
        if end is not None and running:
            parts.append(f"ends about {_clock_time(end)}")
        return " · ".join(parts)

    def _output_line(self, test_id: str, line: str) -> None:
        from rich.text import Text

        self._rich.print(Text(f"{test_id} | ", style="dim") + Text.from_ansi(line))

    def _write(self, line: str) -> None:
        from rich.text import Text

        words = {
            "passed": "green",
            "failed": "red",
            "timed out": "red",
            "refused": "red",
            "machine's fault": "yellow",
        }
        style = next((color for word, color in words.items() if line.startswith(word)), "")
        self._rich.print(Text(line, style=style))


def totals(run: Run) -> str:
    """The last line of a run: how many tests ended how, in what time, on what."""
    counts = dict.fromkeys(Outcome, 0)
    for result in run.results:
        counts[result.verdict.outcome] += 1
    parts = [f"{count} {outcome.value}" for outcome, count in counts.items() if count] or ["no tests"]
    return f"{', '.join(parts)} in {_duration(run.ended_at - run.started_at)} · {run.devices}"


def _sentence(event: Event) -> str:
    data = event.data
    if event.kind == "waiting":
        return f"{event.test_id}: waits for its devices, {data['ahead']} ahead in the host's queue"
    if event.kind == "granted" and data["devices"]:
        return f"{event.test_id}: granted {', '.join(data['devices'])}"
    if event.kind == "preparing":
        return f"{event.test_id}: prepares, attempt {event.attempt}; it holds no device yet"
    if event.kind == "prepared" and data["exit_code"] == 0:
        return f"{event.test_id}: prepared"
    if event.kind == "started":
        return f"{event.test_id}: started, attempt {event.attempt}"
    if event.kind == "ended" and data["lost"]:
        return f"{event.test_id}: attempt {event.attempt} was lost: {data['lost']}"
    if event.kind == "verdict":
        return f"{event.test_id}: {data['outcome']}, {data['sentence']}"
    if event.kind == "interrupted":
        return "interrupted: ending every test; the reports are still written"
    return ""


def _result_line(result: Result) -> str:
    return f"{result.verdict.outcome.value:<15} {result.test_id}: {result.verdict.sentence}"


def _clock_time(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"
