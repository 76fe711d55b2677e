"""A run as a value again, from the events that it left: finished, under way, or cut off with its runner."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainci.errors import EXIT_INTERRUPTED, UsageError
from trainci.history import metric_files
from trainci.history.event_log import is_alive, read_events
from trainci.model import events
from trainci.model.run import Attempt, Metric, Outcome, Phase, Result, Run, Verdict
from trainci.model.tests import Test
from trainci.paths import EVENTS, RunPaths, StatePaths
from trainci.text import printable

# It becomes a part of files' names.
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# A run of 2,000 tests has 10 MB of them.
_LARGEST_EVENTS = 256 << 20
_WAITS = Verdict(Outcome.INTERRUPTED, "it waits: the run goes on")
_NEVER_BEGUN = Verdict(Outcome.INTERRUPTED, "cut off before it was started: the runner was killed")
_ALIVE = Verdict(Outcome.INTERRUPTED, "it still runs")
_CUT_OFF = Verdict(Outcome.INTERRUPTED, "cut off: the runner was killed")
_NOT_STARTED = Verdict(Outcome.SKIPPED, "not started: the run ended before")


@dataclass(frozen=True)
class Told:
    """What a run left in ``folder``: itself, and the events that tell of it; its logs are relative to ``root``.

    ``alive``: its runner lived when they were read, and there may be more.
    """

    run: Run
    events: tuple[events.Control, ...]
    root: Path
    folder: Path
    alive: bool


def find_run(state: StatePaths, name: str) -> Path:
    """The folder of the run of that id, or of the only one whose id begins so; the newest where ``name`` is empty.

    ``name`` may be a folder that holds such a one, or several, as the artifacts of a job do.

    :raises UsageError: there is none, or more than one.
    """
    found = runs_below(Path(name)) if name and Path(name).is_dir() else _kept(state, name)
    if not found:
        raise UsageError(f"no run{f' {printable(name)}' if name else ''} is kept in {state.runs}.")
    if name and len(found) > 1:
        raise UsageError(f"{printable(name)}: {len(found)} runs are there; the newest is {found[-1].name}.")
    return found[-1]


def runs_below(folder: Path) -> list[Path]:
    """The folders of all runs in ``folder``, the oldest first."""
    found = (file.parent for file in files_below(folder) if file.name == EVENTS)
    return sorted(found, key=lambda path: path.name)


def files_below(folder: Path) -> Iterator[Path]:
    """The files in ``folder``, which others may have made: no link to a folder is followed.

    What cannot be looked at, or lies too deep to be named, is passed over.
    """
    left = [str(folder)]
    while left:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                elif entry.is_file():
                    yield Path(entry.path)


def _kept(state: StatePaths, name: str) -> list[Path]:
    found = runs_below(state.runs)
    exact = [folder for folder in found if folder.name == name]
    return exact or [folder for folder in found if folder.name.startswith(name)]


def read_run(folder: Path) -> Told:
    """The run that left ``folder``.

    :raises UsageError: what is there is no run's.
    """
    # Asked first: of a run that ends meanwhile everything is read, and it is not called cut off.
    alive = is_alive(folder / EVENTS)
    with contextlib.suppress(OSError):
        if (folder / EVENTS).lstat().st_size > _LARGEST_EVENTS:
            raise UsageError(f"{folder / EVENTS}: larger than the events of any run ({_LARGEST_EVENTS >> 20} MiB).")
    told = tuple(read_events(folder / EVENTS))
    check_first(told[0] if told else None, folder)
    logs = Logs(folder.resolve())
    told = tuple(map(logs.placed, told))
    return Told(run_of(told, alive), told, logs.root, folder, alive)


def check_first(event: events.Control | None, folder: Path) -> None:
    """See that the events of a run begin with ``event``.

    :raises UsageError: they do not.
    """
    if not isinstance(event, events.RunStarted):
        raise UsageError(f"{folder / EVENTS}: these are not the events of a run that this trainci knows.")
    if not _RUN_ID.fullmatch(event.run_id):
        raise UsageError(f"{folder / EVENTS}: {event.run_id!a} is no id of a run.")


def metrics_of(told: Told) -> dict[str, list[Metric]]:
    """What the last attempt of each test recorded of itself, of tests whose attempts recorded anything."""
    last = {result.test_id: result.attempts[-1] for result in told.run.results if result.attempts}
    found = {
        test_id: list(metric_files.read(RunPaths.metrics(told.root / attempt.log)))
        for test_id, attempt in last.items()
    }
    return {test_id: metrics for test_id, metrics in found.items() if metrics}


class Logs:
    """Where the logs of the run in ``folder`` are: beside its events, whoever wrote those.

    They are relative to ``root``: the project's, or ``folder`` itself where that was moved away from it.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self._folder = folder
        self._place: Path | None = None

    def placed(self, event: events.Control) -> events.Control:
        """``event`` with the place of its log, if it has one; the first one tells where all of them are."""
        if not isinstance(event, events.Queued):
            return event
        log = Path(event.log)
        if self._place is None:
            self._find(log.parent)
        return replace(event, log=str((self._place or Path()) / _name(event.log)))

    def _find(self, said: Path) -> None:
        self._place = Path()
        parts = said.parts
        if not str(said).isprintable():
            return
        if said == self._folder:
            # Where the state of a repository lies elsewhere, its logs have their whole path.
            self._place = said
        elif parts and self._folder.parts[-len(parts) :] == parts:
            self._place, self.root = said, self._folder.parents[len(parts) - 1]


def _name(log: str) -> str:
    name = printable(Path(log).name)
    return name if name not in ("", "..") else "none"


def run_of(told: Iterable[events.Control], alive: bool = False) -> Run:
    """The run that these events tell of, which begin with its start."""
    reading = Reading()
    for event in told:
        reading.take(event)
    return reading.finish(alive)


@dataclass
class _Trying:
    """An attempt that has begun."""

    queued: events.Queued
    started_at: float | None = None
    devices: tuple[str, ...] = ()
    kind: str = ""


@dataclass
class Reading:
    """What is known of a run so far, event by event."""

    start: events.RunStarted | None = None
    trying: dict[str, _Trying] = field(default_factory=dict)
    ended: dict[str, list[Attempt]] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    last_at: float = 0.0
    exit_code: int = EXIT_INTERRUPTED
    over: bool = False
    strict: frozenset[str] = frozenset()

    def take(self, event: events.Control) -> None:
        """The next event of the run, the first of which is its start."""
        self.last_at = event.at
        match event:
            case events.RunStarted():
                self.start = event
                self.strict = frozenset(test.test_id for test in event.tests if test.fail_on_flaky)
            case events.Queued():
                self.trying[event.test_id] = _Trying(event)
            case events.Granted() if trying := self.trying.get(event.test_id):
                trying.devices, trying.kind = event.devices, event.device_kind
            case events.Started() if trying := self.trying.get(event.test_id):
                trying.started_at = None if event.phase is Phase.PREPARE else event.at
            case events.Ended(final=True) if trying := self.trying.pop(event.test_id, None):
                self.ended.setdefault(event.test_id, []).append(self._attempt(trying, event))
            case events.Concluded():
                self.verdicts[event.test_id] = event.verdict
            case events.RunEnded():
                self.exit_code, self.over = event.exit_code, True

    def finish(self, alive: bool) -> Run:
        """The run as far as it is told; ``alive``: there may be more."""
        assert self.start is not None
        planned = [test.test_id for test in self.start.tests]
        results = [
            Result(test_id, self._verdict(test_id, alive), tuple(self.ended.get(test_id, ())))
            for test_id in dict.fromkeys([*self.verdicts, *planned])
        ]
        return Run(
            id=self.start.run_id,
            commit=self.start.commit,
            started_at=self.start.at,
            ended_at=self.last_at,
            results=tuple(results),
            devices=self.start.devices,
            exit_code=self.exit_code,
            replay={test.test_id: test.replay for test in self.start.tests if test.replay},
            files={test.test_id: test.file for test in self.start.tests if test.file},
        )

    def _verdict(self, test_id: str, alive: bool) -> Verdict:
        if test_id in self.verdicts:
            return self.verdicts[test_id]
        if test_id in self.trying or test_id in self.ended:
            return _ALIVE if alive else _CUT_OFF
        if self.over:
            return _NOT_STARTED
        return _WAITS if alive else _NEVER_BEGUN

    def _attempt(self, trying: _Trying, event: events.Ended) -> Attempt:
        return Attempt(
            test=Test(event.test_id, num_gpus=trying.queued.gpus, fail_on_flaky=event.test_id in self.strict),
            number=event.attempt,
            queued_at=trying.queued.at,
            started_at=trying.started_at,
            ended_at=event.at,
            ending=event.ending,
            log=trying.queued.log,
            devices=trying.devices,
            phase=event.phase,
            results=event.results,
            diagnosis=event.diagnosis,
            measured=event.measured,
            kind=trying.kind,
            image=trying.queued.image,
        )
