"""How long runs are kept: their logs and events. What the history knows of them, durations and metrics, stays."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainci.history.event_log import is_alive, read_events
from trainci.model.events import RunEnded
from trainci.model.project import Retention
from trainci.paths import EVENTS, RunPaths, StatePaths

# Nothing else is ever removed: somebody may have named a folder of his own as state_dir.
_RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


@dataclass(frozen=True)
class Kept:
    """A run that has ended, as it lies on disk: when it last wrote (Unix time), and how many bytes it takes."""

    run_id: str
    at: float
    size: int


def expired(runs: Iterable[Kept], retention: Retention, now: float) -> list[Kept]:
    """Those that are too old, and the oldest of the others that are too much together."""
    gone: list[Kept] = []
    total = 0
    for run in sorted(runs, key=lambda run: run.at, reverse=True):
        total += run.size
        if now - run.at > retention.seconds or total > retention.size:
            gone.append(run)
    return gone


def run_folders(state: StatePaths) -> list[Path]:
    """Those that are called as runs are, the oldest first."""
    try:
        return sorted(path for path in state.runs.iterdir() if _RUN_ID.fullmatch(path.name))
    except OSError:
        return []


def has_ended(state: StatePaths, folder: Path) -> bool:
    """Whether the run in ``folder`` has; what is no folder of a run has not."""
    paths = RunPaths(state, folder.name)
    if folder.is_symlink() or not paths.events.is_file() or is_alive(paths.events):
        return False
    # The tests of one with a plan may go on without its runner: somebody can attach to it.
    return not paths.plan.exists() or any(isinstance(event, RunEnded) for event in read_events(paths.events))


def kept_runs(state: StatePaths) -> list[Kept]:
    """The runs that have ended."""
    return [one for folder in run_folders(state) if has_ended(state, folder) for one in _kept(folder)]


def remove(state: StatePaths, runs: Iterable[Kept]) -> list[Kept]:
    """Remove these; those that could be."""
    removed = []
    for run in runs:
        try:
            # Nothing is followed: a test could have put a link into its run's folder.
            shutil.rmtree(state.runs / run.run_id)
        except OSError:
            continue
        removed.append(run)
    return removed


def _kept(folder: Path) -> list[Kept]:
    try:
        found = [path.lstat() for path in folder.rglob("*")]
        return [Kept(folder.name, (folder / EVENTS).lstat().st_mtime, sum(each.st_size for each in found))]
    except OSError:
        return []
