"""Sends what a run leaves to a place that outlives this host, from a thread of its own: nothing waits for it.

A run that was not sent whole is marked beside its files; a later run on this host sends it.
"""

from __future__ import annotations

import contextlib
import io
import queue
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from trainci.errors import TrainciError
from trainci.history.event_log import read_events
from trainci.history.places import SENT, Place, PlaceAway
from trainci.history.retention import UNSENT, has_ended, run_folders
from trainci.host.files import open_plain
from trainci.model import events
from trainci.paths import EVENTS, RunPaths, StatePaths

# How long the rest may take once the run has ended.
_PATIENCE_S = 5.0

Reports = Callable[[Path], Mapping[str, bytes]]


class Sender:
    """A listener of the run that sends the files of each attempt once it has ended, and the rest at the end.

    ``reports`` makes, of a run's folder, the files that are sent too. ``say`` is told once what was not sent.
    Logs and metrics are masked before they are files, or when their attempt ends: no secret is in what is sent.
    """

    def __init__(
        self, place: Place, state: StatePaths, run_id: str, reports: Reports, say: Callable[[str], object]
    ) -> None:
        self._place = place
        self._state = state
        self._paths = RunPaths(state, run_id)
        self._reports = reports
        self._say = say
        self._logs: dict[tuple[str, int], str] = {}
        self._coming: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._why = ""
        # Without room for the mark it is sent, or it is not.
        with contextlib.suppress(OSError):
            (self._paths.directory / UNSENT).touch()
        self._thread = threading.Thread(target=self._run, name="artifacts", daemon=True)
        self._thread.start()

    def __call__(self, event: events.Control) -> None:
        """Listen to the run."""
        match event:
            case events.Queued():
                self._logs[event.test_id, event.attempt] = Path(event.log).stem
            case events.Ended(final=True) if stem := self._logs.pop((event.test_id, event.attempt), ""):
                self._coming.put(stem)

    def close(self) -> None:
        """Wait a moment for the rest to be sent."""
        self._closing.set()
        self._coming.put(None)
        self._thread.join(_PATIENCE_S)
        if self._thread.is_alive() or self._why:
            why = self._why or f"{self._place.url}: no answer within {_PATIENCE_S:g} s"
            self._say(f"artifacts: {why}. This run is sent by a later one, as long as its logs are kept here.")

    def _run(self) -> None:
        self._send_earlier()
        sent: set[str] = set()
        while (stem := self._coming.get()) is not None:
            names = [name for name in _names(self._paths.directory) if name.startswith(f"{stem}.")]
            with contextlib.suppress(PlaceAway, OSError):
                sent.update(self._send(self._paths.directory, names))
        try:
            self._send_whole(self._paths.directory, sent)
        except (TrainciError, OSError) as error:
            self._why = str(error).rstrip(".")

    def _send_earlier(self) -> None:
        """The runs that could not be sent when they were made, the oldest first."""
        for folder in run_folders(self._state):
            if self._closing.is_set():
                return
            # The mark first: to see whether a run has ended may take to read it.
            if folder == self._paths.directory or not (folder / UNSENT).exists():
                continue
            if not has_ended(self._state, folder):
                continue
            try:
                self._send_whole(folder, _unmasked(folder))
            except PlaceAway:
                return
            except (TrainciError, OSError):
                # What is no run any more keeps no other from being sent.
                continue

    def _send_whole(self, folder: Path, without: Collection[str]) -> None:
        self._send(folder, [name for name in _names(folder) if name not in without])
        for name, content in self._reports(folder).items():
            self._place.send(f"{folder.name}/{name}", io.BytesIO(content))
        (folder / UNSENT).unlink(missing_ok=True)

    def _send(self, folder: Path, names: Iterable[str]) -> list[str]:
        sent = []
        for name in names:
            try:
                file = open_plain(folder / name)
            except OSError:
                # A test put something else there.
                continue
            with file:
                self._place.send(f"{folder.name}/{name}", file)
            sent.append(name)
        return sent


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if SENT.fullmatch(path.name))


def _unmasked(folder: Path) -> list[str]:
    """What tests of a run that was cut off recorded: secrets are taken out of that once they end."""
    over = any(isinstance(event, events.RunEnded) for event in read_events(folder / EVENTS))
    return [] if over else [name for name in _names(folder) if name.endswith(".metrics.jsonl")]
