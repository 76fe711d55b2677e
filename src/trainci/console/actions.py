"""A job's log on GitHub: foldable groups, annotations, and nothing else that GitHub would obey."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from trainci.console.excerpt import Excerpt
from trainci.console.plain import Console
from trainci.github import actions as github
from trainci.model import events
from trainci.model.run import Result, Run
from trainci.reports import read_log
from trainci.reports.reason import place, reason, red


class GithubConsole(Console):
    """One foldable group for each attempt; nothing that a test prints or is called is taken for a workflow command.

    A group's title bears the verdict, and stands before what it folds: so the log of an attempt follows once the
    attempt has ended. What runs alone streams, for whoever watches the job, and its verdict follows it. ``folder``
    is what stands before the files of the project in the checkout.
    """

    def __init__(
        self, stream: TextIO, clock: Callable[[], float], root: Path, token: str, folder: str = ""
    ) -> None:
        super().__init__(stream, clock)
        self._folder = folder
        self._root = root
        self._token = token
        self._logs: dict[str, tuple[int, Path]] = {}
        self._open = ""
        self._stopped = False
        self._annotations = 0

    @property
    def _streams(self) -> bool:
        return len(self._planned) == 1

    def _on(self, event: events.Event) -> None:
        match event:
            case events.Queued():
                self._fold(event.test_id, f"{event.test_id}: tried again")
                self._logs[event.test_id] = (event.attempt, self._root / event.log)
                if self._streams:
                    self._open_group(_attempt(event.test_id, event.attempt))
            case events.Output() if not self._streams:
                return
            case events.Concluded():
                self._fold(event.test_id, self._verdict_line(event.test_id, event.verdict))
        super()._on(event)

    def _fold(self, test_id: str, title: str) -> None:
        """Fold what the last attempt of a test printed, if there was one."""
        attempt, log = self._logs.pop(test_id, (0, None))
        if self._open:
            self._close_group()
        elif log is not None:
            self._open_group(_attempt(title, attempt))
            self._show_log(test_id, log)
            self._close_group()

    def _show_log(self, test_id: str, log: Path) -> None:
        excerpt = Excerpt()
        for data in read_log(log):
            self._output(test_id, data if self.whole else excerpt.begin(data))
            if self.hurried:
                self.note(f"{test_id} | … the rest is in the log")
                break
        between, end = excerpt.end()
        if between:
            super().skipped(test_id, f"{between} more in {log.relative_to(self._root)}")
        self._output(test_id, end)
        self._finish(test_id)

    def skipped(self, test_id: str, told: str) -> None:
        """See Console; what is painted from the log has missed nothing."""
        if self._streams:
            super().skipped(test_id, told)

    def summary(self, run: Run, root: Path) -> None:
        """See Painter; with as many annotations as GitHub shows, the last of which counts the rest."""
        count = len(red(run))
        self._annotations = github.annotations_shown(count)
        super().summary(run, root)
        if left := count - github.annotations_shown(count):
            self._command(github.annotations_left(left))

    def _details(self, run: Run, result: Result, root: Path) -> None:
        if self._annotations:
            self._annotations -= 1
            self._command(self._annotation(run, result))
        self._stop_commands()
        super()._details(run, result, root)
        self._resume_commands()

    def _annotation(self, run: Run, result: Result) -> str:
        at = place(run, result)
        file, line = (f"{self._folder}{at.file}", at.line or 1) if at else ("", 0)
        return github.annotation(reason(result.verdict), file=file, line=line, title=result.test_id)

    def _open_group(self, title: str) -> None:
        self._open = title
        self._command(github.group(title))
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


def _attempt(title: str, attempt: int) -> str:
    return title if attempt == 1 else f"{title}, attempt {attempt}"
