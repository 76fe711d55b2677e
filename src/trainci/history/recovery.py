"""What runs left behind whose runner was killed."""

from __future__ import annotations

from collections.abc import Iterable

from trainci.history import metric_files
from trainci.history.event_log import may_live, read_events
from trainci.history.recorder import Recorder
from trainci.history.store import CutOff, Store
from trainci.model import events
from trainci.paths import RunPaths, StatePaths

# Of runs that the history does not know, so many are entered at a time: each costs its reading.
_MOST_ENTERED = 100


def take_cut_off(store: Store, state: StatePaths, own: str) -> list[CutOff]:
    """The attempts that such runs were making, each told once; what they recorded is taken in.

    So is what runs could not enter themselves, because another process held the history: all but ``own``.

    :raises StoreError: the store does not answer.
    """
    left = dict.fromkeys([*store.unended_runs(), *_missed(store, state)])
    return _take(store, state, (run_id for run_id in left if run_id != own))


def enter(store: Store, state: StatePaths, run_ids: Iterable[str]) -> None:
    """Take in what the history does not know yet of these runs.

    :raises StoreError: the store does not answer.
    """
    run_ids = list(run_ids)
    unknown = {*store.unended_runs(), *store.unknown_runs(run_ids)}
    _take(store, state, (run_id for run_id in run_ids if run_id in unknown))


def _take(store: Store, state: StatePaths, run_ids: Iterable[str]) -> list[CutOff]:
    found: list[CutOff] = []
    for run_id in run_ids:
        if may_live(state, run_id):
            continue
        if _enter(store, state, run_id):
            continue
        cut_off = store.unended_attempts(run_id)
        for item in cut_off:
            store.keep_metrics(item.attempt, metric_files.read(RunPaths.metrics(state.root / item.log)))
        found += cut_off
        store.mark_cut_off(run_id)
    return found


def _missed(store: Store, state: StatePaths) -> list[str]:
    """The newest runs that left events, and are not known."""
    try:
        left = sorted((path.name for path in state.runs.iterdir()), reverse=True)
    except OSError:
        return []
    return store.unknown_runs(left)[:_MOST_ENTERED]


def _enter(store: Store, state: StatePaths, run_id: str) -> bool:
    """Enter what the run left of its events; whether it has ended with them."""
    record = Recorder(store, state, run_id)
    left = read_events(RunPaths(state, run_id).events)
    first = next(left, None)
    if not isinstance(first, events.RunStarted) or first.run_id != run_id:
        return False
    record(first)
    last: events.Control = first
    for last in left:
        record(last)
    return isinstance(last, events.RunEnded)
