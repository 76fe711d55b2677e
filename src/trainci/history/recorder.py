"""Writes the events of a run into a store."""

from __future__ import annotations

from trainci.history import metric_files
from trainci.history.store import AttemptKey, Store
from trainci.model import events
from trainci.model.run import Phase
from trainci.paths import RunPaths, StatePaths
from trainci.verdict.suspects import speaks_against


class Recorder:
    """Writes the events of one run into ``store``; of those that are there already nothing changes.

    :raises StoreError: the store does not answer.
    """

    def __init__(self, store: Store, state: StatePaths, run_id: str) -> None:
        self._store = store
        self._root = state.root
        self._run = run_id
        self._logs: dict[AttemptKey, str] = {}

    def __call__(self, event: events.Control) -> None:
        """Write one event, after those before it."""
        store = self._store
        match event:
            case events.RunStarted():
                store.begin_run(self._run, event.commit, event.devices, event.at, event.host, event.on_base)
            case events.Queued():
                self._logs[self._key(event)] = event.log
                store.begin_attempt(self._key(event), event.gpus, event.log, event.at, event.image)
            case events.Granted():
                store.set_devices(self._key(event), event.devices, event.device_kind)
            case events.Started() if event.phase is not Phase.PREPARE:
                store.set_started(self._key(event), event.at)
            case events.Ended(final=True):
                self._end(self._key(event), event)
            case events.Concluded():
                store.keep_verdict(self._run, event.test_id, event.verdict, event.at)
            case events.RunEnded():
                store.end_run(self._run, event.exit_code, event.at)

    def _end(self, attempt: AttemptKey, event: events.Ended) -> None:
        against_devices = speaks_against(event.ending, event.diagnosis)
        self._store.end_attempt(attempt, event.phase, event.ending, event.at, against_devices)
        # Its beginning may be missing in what is left of a run.
        if log := self._logs.pop(attempt, ""):
            self._store.keep_metrics(attempt, metric_files.read(RunPaths.metrics(self._root / log)))

    def _key(self, event: events.TestEvent) -> AttemptKey:
        return AttemptKey(self._run, event.test_id, event.attempt)
