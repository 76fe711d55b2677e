"""How long runs are kept: their logs and events. What the history knows of them, durations and metrics, stays.

So nothing goes that the history has still to take in, and what is still to be sent goes for its size alone.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from trainci.history import open_store
from trainci.history.event_log import is_alive, read_events
from trainci.history.recovery import enter
from trainci.history.store import StoreError
from trainci.model.events import RunEnded
from trainci.model.project import Retention
from trainci.paths import EVENTS, RunPaths, StatePaths
from trainci.text import counted

UNSENT = "unsent"
"""The mark in the folder of a run of which something is still to be sent to ``artifacts``."""
# Nothing else is ever removed: somebody may have named a folder of his own as state_dir.
_RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


@dataclass(frozen=True)
class Kept:
    """A run that has ended, as it lies on disk: when it last wrote (Unix time), and how many bytes it takes.

    ``unsent``: something of it is still to be sent to where the project's ``artifacts`` go.
    """

    run_id: str
    at: float
    size: int
    unsent: bool = False


@dataclass(frozen=True)
class Cleaned:
    """What became of runs that were to go: those that are gone, and in a sentence each why others stay."""

    removed: list[Kept]
    stay: list[str]


def expired(runs: Iterable[Kept], retention: Retention, now: float) -> list[Kept]:
    """Those that are too old, and the oldest of the others that are too much together.

    The newest is never too much: somebody is about to read it. One that is still to be sent is never too old, and
    goes after all others: a place may be away for weeks.
    """
    gone: list[Kept] = []
    total = 0
    runs = sorted(runs, key=lambda run: run.at)
    newest = runs[-1:]
    for run in newest + sorted(runs[:-1], key=lambda run: (run.unsent, run.at), reverse=True):
        total += run.size
        if (now - run.at > retention.seconds and not run.unsent) or (total > retention.size and run not in newest):
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


def kept_runs(state: StatePaths, artifacts: str) -> list[Kept]:
    """The runs that have ended; ``artifacts`` is where they are sent, empty for nowhere."""
    ended = (folder for folder in run_folders(state) if has_ended(state, folder))
    return [one for folder in ended for one in _kept(folder, bool(artifacts))]


def remove(state: StatePaths, runs: Iterable[Kept]) -> Cleaned:
    """Remove these, once the history has taken in what it missed of them."""
    runs = list(runs)
    if not runs:
        return Cleaned([], [])
    try:
        with closing(open_store(state)) as store:
            enter(store, state, [run.run_id for run in runs])
    except StoreError as error:
        return Cleaned([], [f"{counted(len(runs), 'run')} may hold what the history lacks. {error}"])
    removed, stay = [], []
    for run in runs:
        try:
            # Nothing is followed: a test could have put a link into its run's folder.
            shutil.rmtree(folder := state.runs / run.run_id)
        except OSError as error:
            stay.append(f"{folder}: {error.strerror}")
        else:
            removed.append(run)
    return Cleaned(removed, stay)


def _kept(folder: Path, sends: bool) -> list[Kept]:
    try:
        found = [path.lstat() for path in folder.rglob("*")]
        at = (folder / EVENTS).lstat().st_mtime
    except OSError:
        return []
    unsent = sends and (folder / UNSENT).exists()
    return [Kept(folder.name, at, sum(each.st_size for each in found), unsent)]
