"""What runs left behind whose runner was killed."""

from __future__ import annotations

from trainci.history import metric_files
from trainci.history.event_log import is_alive
from trainci.history.store import CutOff, Store
from trainci.paths import RunPaths, StatePaths


def take_cut_off(store: Store, state: StatePaths) -> list[CutOff]:
    """The attempts that such runs were making, each told once; what they recorded is taken in.

    :raises StoreError: the store does not answer.
    """
    found: list[CutOff] = []
    for run_id in store.unended_runs():
        if is_alive(RunPaths(state, run_id)):
            continue
        cut_off = store.unended_attempts(run_id)
        for item in cut_off:
            store.keep_metrics(item.attempt, metric_files.read(RunPaths.metrics(state.root / item.log)))
        found += cut_off
        store.mark_cut_off(run_id)
    return found
