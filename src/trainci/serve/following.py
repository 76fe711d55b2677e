"""Runs that are looked at, each read on from where the last look ended.

What is kept of one grows with its tests, and not with what they print or how long they take.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

from trainci.history import metric_files
from trainci.history.event_log import NewEvents, is_alive
from trainci.history.runs import Logs, Reading, check_first
from trainci.history.samples import NewSamples
from trainci.model import events
from trainci.model.look import Sample
from trainci.model.run import Metric, Run
from trainci.paths import EVENTS, RunPaths
from trainci.reports.timeline import Doing, Drawing, Slice

# So many runs are kept between two looks, and so many metrics of a test.
_MOST_RUNS = 16
_MOST_METRICS = 500


@dataclass(frozen=True)
class Going:
    """What goes on in a run: what each test does that has begun, with the name of its log, and which ones wait."""

    done: int
    planned: int
    running: tuple[tuple[Slice, str], ...]
    waiting: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """A run as of a look, with the tests that are done while it is ``alive``. Its logs are relative to ``root``."""

    run: Run
    root: Path
    alive: bool
    slices: tuple[Slice, ...]
    going: Going
    metrics: dict[str, list[Metric]]
    samples: tuple[Sample, ...]


class Followed:
    """The runs that were looked at last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, Following] = OrderedDict()

    def of(self, folder: Path) -> Following:
        """The run in ``folder``."""
        with self._lock:
            found = self._kept.setdefault(folder, Following(folder))
            self._kept.move_to_end(folder)
            while len(self._kept) > _MOST_RUNS:
                self._kept.popitem(last=False)
        return found


class Following:
    """One run. Several threads may look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._events = NewEvents(folder / EVENTS)
        self._samples = NewSamples(folder)
        self._logs = Logs(folder.resolve())
        self._reading = Reading()
        self._drawing = Drawing()
        self._log_names: dict[str, str] = {}
        # Of an attempt, by its log: it has ended, so that they do not change.
        self._metrics: dict[str, list[Metric]] = {}

    def look(self) -> Seen:
        """All that is known of it now.

        :raises UsageError: what is there is no run's.
        """
        with self._lock:
            # Asked first: of a run that ends meanwhile everything is read, and it is not called cut off.
            alive = is_alive(self._folder / EVENTS)
            self._read_on()
            check_first(self._reading.start, self._folder)
            whole = self._reading.finish(alive)
            done = tuple(one for one in whole.results if one.test_id in self._reading.verdicts)
            run = replace(whole, results=done) if alive else whole
            return Seen(
                run,
                self._logs.root,
                alive,
                self._drawing.slices(),
                self._going(),
                self._metrics_of(run),
                tuple(self._samples.look()),
            )

    def going(self) -> Going:
        """What goes on in it, which is known with less to do.

        :raises UsageError: what is there is no run's.
        """
        with self._lock:
            self._read_on()
            check_first(self._reading.start, self._folder)
            return self._going()

    def _read_on(self) -> None:
        for event in self._events:
            if self._reading.start is None:
                check_first(event, self._folder)
            placed = self._logs.placed(event)
            if isinstance(placed, events.Queued):
                self._log_names[placed.test_id] = Path(placed.log).name
            elif isinstance(placed, events.Concluded):
                self._log_names.pop(placed.test_id, None)
            self._reading.take(placed)
            self._drawing.take(placed)

    def _going(self) -> Going:
        found = self._drawing.going_on()
        running = [(one, self._log_names.get(one.test_id, "")) for one in found if one.doing is not Doing.WAITING]
        planned = {test.test_id for test in self._reading.start.tests} if self._reading.start else set()
        waiting = tuple(one.test_id for one in found if one.doing is Doing.WAITING)
        return Going(len(planned & self._reading.verdicts.keys()), len(planned), tuple(running), waiting)

    def _metrics_of(self, run: Run) -> dict[str, list[Metric]]:
        """What the last attempt of each test recorded last of each metric."""
        last = {result.test_id: result.attempts[-1].log for result in run.results if result.attempts}
        for log in last.values() - self._metrics.keys():
            found: dict[str, Metric] = {}
            for metric in metric_files.read(RunPaths.metrics(self._logs.root / log)):
                if metric.name in found or len(found) < _MOST_METRICS:
                    found[metric.name] = metric
            self._metrics[log] = list(found.values())
        return {test_id: self._metrics[log] for test_id, log in last.items() if self._metrics[log]}
