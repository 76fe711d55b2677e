"""The history as a run knows it, by one connection in a thread of its own: an extra, and nothing waits for it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import closing
from typing import Any, TypeVar

from trainci.history import load_store, set_aside, suspected_devices, suspected_hosts
from trainci.history.recorder import Recorder
from trainci.history.recovery import take_cut_off
from trainci.history.store import Past, Store, StoreBroken, StoreBusy, StoreError
from trainci.model import events
from trainci.paths import StatePaths
from trainci.verdict.suspects import Suspect

# How long a run that is about to begin waits to know what its tests took: it begins the longest first.
_ORDER_S = 1.0
# How long what answers nothing is waited for once the run has ended.
_PATIENCE_S = 2.0
# How long until a history that did not answer is asked again.
_PAUSE_S = 0.5
# How long a history in a file is waited for, which answers unless its disk does not.
_FILE_S = 10.0

_T = TypeVar("_T")


class Keeper:
    """Answers what a run asks of its history; a listener that enters the run, after what earlier ones could not.

    What cannot be entered stays in the run's event log, from which a later run enters it. ``say`` is told what
    there is to know: such a failure, a broken history that was set aside, the attempts that were cut off.

    :raises UsageError: what the history needs is not installed.
    """

    def __init__(self, state: StatePaths, run_id: str, say: Callable[[str], object]) -> None:
        self.say = say
        self._state = state
        # Before its time counts.
        self._open = load_store(state)
        self._run_id = run_id
        self._coming: queue.SimpleQueue[events.Control | Callable[[Store], object] | None] = queue.SimpleQueue()
        self._told: list[events.Control] = []
        self._asked: list[Future[Any]] = []
        self._closing = threading.Event()
        # Why it does not answer, if it does not; and since when it owes an answer, 0 if it owes none.
        self._away: StoreError | None = None
        self._silent_since = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def __call__(self, event: events.Control) -> None:
        """Listen to the run."""
        self._coming.put(event)

    def past(self, test_ids: Iterable[str]) -> dict[str, Past]:
        """What is known of each of ``test_ids``; nothing where the history does not answer."""
        try:
            return self.ask(lambda store: store.past(test_ids), _ORDER_S)
        except StoreError:
            # Who wants to write there says so.
            return {}

    def suspects(self, host: str, known: Mapping[str, float]) -> tuple[list[Suspect], list[Suspect]]:
        """The devices of ``host``, and the hosts, whose failures cannot be chance, with those of this run."""
        try:
            return self.ask(
                lambda store: (suspected_devices(store, host, known), suspected_hosts(store)), _PATIENCE_S
            )
        except StoreError:
            return [], []

    def ask(self, question: Callable[[Store], _T], seconds: float) -> _T:
        """What the history answers, with all in it that was told before.

        :raises StoreError: it does not answer, or one that hosts share does not within so many seconds.
        """
        # A file says itself that it is held, after a while.
        seconds = seconds if self._state.url else _FILE_S
        answer: Future[_T] = Future()
        self._asked.append(answer)
        if self._away:
            raise self._away
        self._put(answer, question)
        try:
            return answer.result(self._left_of(seconds))
        except NotInTime:
            self._away = StoreBusy(self._state.place, f"it said nothing for {seconds:g} s")
            raise self._away from None

    def _put(self, answer: Future[_T], question: Callable[[Store], _T]) -> None:
        def answered(store: Store) -> None:
            try:
                answer.set_result(question(store))
            except StoreBroken:
                # The one that takes its place answers.
                self._put(answer, question)
                raise

        self._coming.put(answered)

    def close(self) -> None:
        """Wait a moment for the rest to be entered."""
        self._coming.put(None)
        self._closing.set()
        self._thread.join(0.0 if self._away else self._left_of(_PATIENCE_S))
        if isinstance(self._away, StoreBusy) or self._thread.is_alive():
            why = f" ({self._away.reason})" if self._away else ""
            self.say(f"{self._state.place}: the history is held, or away{why}; a later run enters this one.")

    def _left_of(self, seconds: float) -> float:
        """Less what it has said nothing for by now."""
        owed_for = time.monotonic() - self._silent_since if self._silent_since else 0.0
        return max(0.0, seconds - owed_for)

    def _run(self) -> None:
        while True:
            self._silent_since = time.monotonic()
            try:
                with closing(self._open(self._state)) as store:
                    self._enter_all(store)
                return
            except StoreBroken as error:
                if not self._set_aside(error):
                    self._fail(error)
                    return
            except StoreBusy as error:
                self._fail(error)
                # Its holder releases it, what is away comes back, or this run ends before.
                if self._closing.wait(_PAUSE_S):
                    return
            except StoreError as error:
                self._fail(error)
                self.say(f"{error} This run is kept in its event log.")
                return

    def _fail(self, error: StoreError) -> None:
        self._away = error
        for answer in self._asked:
            if not answer.done():
                answer.set_exception(error)

    def _enter_all(self, store: Store) -> None:
        record = Recorder(store, self._state, self._run_id)
        for told in self._told:
            record(told)
        event = self._next_event(store)
        for cut_off in take_cut_off(store, self._state, self._run_id):
            self.say(f"an earlier run was killed during {cut_off.attempt.test_id}; its log: {cut_off.log}")
        while event is not None:
            record(event)
            event = self._next_event(store)

    def _next_event(self, store: Store) -> events.Control | None:
        """None after the last one; what is asked before it is answered."""
        while True:
            self._away, self._silent_since = None, 0.0
            item = self._coming.get()
            self._silent_since = time.monotonic()
            if not callable(item):
                break
            item(store)
        if item is not None:
            self._told.append(item)
        return item

    def _set_aside(self, error: StoreBroken) -> bool:
        try:
            sentence = set_aside(self._state, error)
        except OSError as why:
            self.say(f"{error} It cannot be moved away: {why.strerror}. This run is kept in its event log.")
            return False
        self.say(sentence)
        return True
