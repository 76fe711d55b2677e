"""A job's log on GitHub: foldable groups, annotations, and nothing else that GitHub would obey."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from trainci.console.plain import Console
from trainci.github import actions as github
from trainci.model import events
from trainci.model.run import Outcome, Result, Run
from trainci.reports import read_log


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
        self._held_back: list[events.Event] = []
        self._begun: set[tuple[str, int]] = set()
        self._annotations = 0

    def _on(self, event: events.Event) -> None:
        match event:
            case events.Queued():
                self._logs[event.test_id] = self._root / event.log
            case events.Started() | events.Output() if (event.test_id, event.attempt) not in self._begun:
                # Output comes by a way of its own, and may be the first of them.
                self._begun.add((event.test_id, event.attempt))
                if not self._open:
                    self._open_group(event.test_id)
        own = isinstance(event, events.TestEvent) and event.test_id == self._open
        if isinstance(event, events.Output) and not own:
            return
        if self._open and isinstance(event, events.TestEvent) and not own:
            if isinstance(event, events.Concluded) or (isinstance(event, events.Ended) and event.final):
                self._held_back.append(event)
            return
        super()._on(event)
        if isinstance(event, events.Ended) and event.final:
            self._end(event.test_id)

    def _end(self, test_id: str) -> None:
        if test_id == self._open:
            self._close_group()
        else:
            self._open_group(test_id)
            self._show_log(test_id)
            self._close_group()
        held_back, self._held_back = self._held_back, []
        for event in held_back:
            self._on(event)

    def _show_log(self, test_id: str) -> None:
        for data in read_log(self._logs[test_id]):
            self._output(test_id, data)
            if self.hurried:
                self.note(f"{test_id} | … the rest is in the log")
                break
        self._finish(test_id)

    def summary(self, run: Run, root: Path) -> None:
        count = sum(result.verdict.outcome not in (Outcome.PASSED, Outcome.SKIPPED) for result in run.results)
        self._annotations = github.annotations_shown(count)
        super().summary(run, root)
        if left := count - github.annotations_shown(count):
            self._command(github.annotations_left(left))

    def _details(self, run: Run, result: Result, root: Path) -> None:
        if self._annotations:
            self._annotations -= 1
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

    def _write(self, text: str) -> None:
        super()._write(text if self._stopped else "\n".join(map(github.inert, text.split("\n"))))
