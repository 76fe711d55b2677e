"""The attempts of tests whose processes run now, in the runs of a repository."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainci.history.event_log import is_alive, read_events
from trainci.history.runs import runs_below
from trainci.model import events
from trainci.paths import EVENTS, StatePaths


@dataclass(frozen=True)
class UnderWay:
    """An attempt: its first process is ``pid``, its log is ``log``."""

    test_id: str
    attempt: int
    pid: int
    log: Path


def under_way(state: StatePaths) -> list[UnderWay]:
    """Those of every run whose runner lives, the oldest run first."""
    running = [folder for folder in runs_below(state.runs) if is_alive(folder / EVENTS)]
    return [each for folder in running for each in of_events(read_events(folder / EVENTS), folder)]


def of_events(told: Iterable[events.Control], folder: Path) -> list[UnderWay]:
    """Those that have begun and not ended. Their logs are in ``folder``, whatever its path was called."""
    logs: dict[str, Path] = {}
    found: dict[str, UnderWay] = {}
    for event in told:
        match event:
            case events.Queued():
                logs[event.test_id] = folder / Path(event.log).name
            case events.Started() if event.test_id in logs:
                found[event.test_id] = UnderWay(event.test_id, event.attempt, event.pid, logs[event.test_id])
            case events.Ended():
                found.pop(event.test_id, None)
    return list(found.values())
