"""Has a run remembered, from a thread of its own: the history is an extra, and nothing waits for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import closing

from trainci.history import open_store, set_aside
from trainci.history.recorder import Recorder
from trainci.history.recovery import take_cut_off
from trainci.history.store import Store, StoreBroken, StoreBusy, StoreError
from trainci.model import events
from trainci.paths import StatePaths

# How long another process is waited for once the run has ended.
_PATIENCE_S = 2.0
# How long until a history that did not answer is asked again.
_PAUSE_S = 0.5


class Keeper:
    """A listener of the run that enters it into the history, after what earlier runs could not enter.

    What cannot be entered stays in the run's event log, from which a later run enters it. ``say`` is told what
    there is to know: such a failure, a broken history that was set aside, the attempts that were cut off.
    """

    def __init__(self, state: StatePaths, run_id: str, say: Callable[[str], object]) -> None:
        self._state = state
        self._run_id = run_id
        self._say = say
        self._coming: queue.SimpleQueue[events.Control | None] = queue.SimpleQueue()
        self._told: list[events.Control] = []
        self._closing = threading.Event()
        self._held: StoreBusy | None = None
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def __call__(self, event: events.Control) -> None:
        """Listen to the run."""
        self._coming.put(event)

    def close(self) -> None:
        """Wait a moment for the rest to be entered."""
        self._coming.put(None)
        self._closing.set()
        self._thread.join(_PATIENCE_S)
        if self._held or self._thread.is_alive():
            place = self._held.place if self._held else self._state.url or self._state.history
            why = f" ({self._held.reason})" if self._held else ""
            self._say(f"{place}: the history is held, or away{why}; a later run enters this one.")

    def _run(self) -> None:
        while True:
            try:
                with closing(open_store(self._state)) as store:
                    self._enter_all(store)
                return
            except StoreBusy as error:
                # Its holder releases it, what is away comes back, or this run ends before.
                if self._closing.wait(_PAUSE_S):
                    self._held = error
                    return
            except StoreBroken as error:
                if not self._set_aside(error):
                    return
            except StoreError as error:
                self._say(f"{error} This run is kept in its event log.")
                return

    def _enter_all(self, store: Store) -> None:
        record = Recorder(store, self._state, self._run_id)
        for told in self._told:
            record(told)
        for cut_off in take_cut_off(store, self._state, self._run_id):
            self._say(f"an earlier run was killed during {cut_off.attempt.test_id}; its log: {cut_off.log}")
        while (event := self._coming.get()) is not None:
            self._told.append(event)
            record(event)

    def _set_aside(self, error: StoreBroken) -> bool:
        try:
            self._say(set_aside(self._state, error))
        except OSError as why:
            self._say(f"{error} It cannot be moved away: {why.strerror}. This run is kept in its event log.")
            return False
        return True
