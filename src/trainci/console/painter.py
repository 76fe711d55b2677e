"""Has a console painted from a thread of its own, so that no other thread waits for a terminal."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from trainci.console.excerpt import Excerpt
from trainci.console.plain import Console
from trainci.model import events
from trainci.model.run import Run

# What may wait to be painted, in bytes, before executors are to hold output back.
_MOST = 2 << 20
# What is painted of a test where nobody could read more, and how often; and what is painted at a time.
_KEPT = 1 << 16
# As much that the memory of its copies is not given back to the kernel each time (mallopt(3), M_TRIM_THRESHOLD).
_PIECE = 1 << 15
_TICK_S = 0.2
# How long a terminal that takes nothing is waited for once the run was interrupted.
_PATIENCE_S = 1.0


class Painter:
    """A listener of the run, and a Show: takes everything at once, and has ``console`` paint it in its order.

    A console that ``skips`` is a person's: what comes faster than it can be read is counted and not painted. Any
    other gets every line of an excerpt that leaves out only what nobody reads, or of the ``whole``; executors hold
    output back while it is behind, until the run is interrupted.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._roomy = threading.Condition(lock)
        self._waiting: list[Callable[[], None]] = []
        self._output: dict[str, _Output] = {}
        self._excerpts: dict[str, Excerpt] = {}
        self._logs: dict[str, str] = {}
        self._size = 0
        self._closing = False
        self._hurried = False
        self._took_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="painter", daemon=True)
        self.error: Exception | None = None

    def __enter__(self) -> Painter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all is painted. A terminal that takes nothing is given up, but only after ``hurry``."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._took_at = time.monotonic()
        # In pieces, so that a signal's handler runs meanwhile.
        while self._thread.is_alive() and not (self._hurried and time.monotonic() - self._took_at > _PATIENCE_S):
            self._thread.join(0.1)

    def __call__(self, event: events.Control | events.Output) -> None:
        """Listen to the run."""
        with self._changed:
            if isinstance(event, events.Output):
                self._show(event)
                return
            if isinstance(event, events.Queued):
                self._logs[event.test_id] = event.log
            elif isinstance(event, events.Ended):
                self._show_end(event)
            if isinstance(event, events.TestEvent):
                self._output.pop(event.test_id, None)
            self._put(partial(self._console, event))

    def has_room(self, wait: float = 0.0) -> bool:
        """See Show."""
        if self._may_add() or not wait:
            return self._may_add()
        with self._changed:
            return self._roomy.wait_for(self._may_add, wait)

    def _may_add(self) -> bool:
        return self._hurried or self._console.skips or self._size < _MOST

    def note(self, text: str) -> None:
        """Have the console say something that no event says."""
        with self._changed:
            self._put(partial(self._console.note, text))

    def summary(self, run: Run, root: Path) -> None:
        """Have the console sum the run up."""
        with self._changed:
            self._put(partial(self._console.summary, run, root))

    def hurry(self) -> None:
        """From now on nothing waits for the reader. Safe in a signal handler."""
        self._hurried = self._console.hurried = True

    def _show(self, event: events.Output) -> None:
        if self._console.skips or self._console.whole:
            self._add(event)
            return
        if not event.logged:
            # Nobody could read it anywhere else.
            self._show_end(event)
            self._add(event)
            return
        excerpt = self._excerpts.setdefault(event.test_id, Excerpt())
        was_full = excerpt.full
        if begin := excerpt.begin(event.data):
            self._add(replace(event, data=begin))
        if excerpt.full and not was_full:
            log = self._logs.get(event.test_id, "its log")
            self._leave_out(event, f"the rest is in {log}; its end follows when the test ends")

    def _show_end(self, event: events.PhaseEvent) -> None:
        """Of what was too long to be painted, the end."""
        excerpt = self._excerpts.pop(event.test_id, None)
        if excerpt is None or not excerpt.full:
            return
        between, end = excerpt.end()
        if between:
            self._leave_out(event, f"{between} more in {self._logs.get(event.test_id, 'its log')}")
        self._add(events.Output(event.at, event.test_id, event.attempt, event.phase, end))

    def _leave_out(self, event: events.PhaseEvent, told: str) -> None:
        self._output.pop(event.test_id, None)
        self._put(partial(self._console.skipped, event.test_id, told))

    def _add(self, event: events.Output) -> None:
        output = self._output.get(event.test_id)
        if output is None:
            output = self._output[event.test_id] = _Output(event)
            self._put(partial(self._paint, output))
        output.add(event.data)
        self._size += len(event.data)
        if self._console.skips or self._hurried:
            self._size -= output.keep_last(_KEPT)

    def _put(self, paint: Callable[[], None]) -> None:
        self._waiting.append(paint)
        self._changed.notify()

    def _run(self) -> None:
        try:
            with self._console:
                while self._take():
                    continue
        except Exception as error:
            self.error = error
            # Nobody paints any more: nothing may wait for it.
            self.hurry()

    def _take(self) -> bool:
        """Paint what waits, and wait for more; False when nothing more will come."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            waiting, self._waiting = self._waiting, []
            self._output.clear()
        for paint in waiting:
            paint()
            self._took_at = time.monotonic()
        self._console.flush()
        self._took_at = time.monotonic()
        if self._console.skips and waiting:
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _TICK_S)
        return bool(waiting)

    def _paint(self, output: _Output) -> None:
        event = output.event
        while output.size:
            with self._changed:
                if self._hurried:
                    self._size -= output.keep_last(_KEPT)
                skipped, data = output.take(_PIECE)
                self._size -= len(data)
                if self._size < _MOST // 2:
                    self._roomy.notify_all()
            if skipped is not None:
                self._console.skipped(event.test_id, f"{skipped:,} lines more in the log" if skipped else "")
            self._console(events.Output(event.at, event.test_id, event.attempt, event.phase, data))
            self._took_at = time.monotonic()


class _Output:
    """What a test printed and is not painted yet: ``event`` was the first of it."""

    def __init__(self, event: events.Output) -> None:
        self.event = event
        self.size = 0
        self._chunks: deque[bytes] = deque()
        self._skipped: int | None = None

    def add(self, data: bytes) -> None:
        """It printed more."""
        self._chunks.append(data)
        self.size += len(data)

    def take(self, most: int) -> tuple[int | None, bytes]:
        """Up to ``most`` bytes of it, and how many lines before them were left out (None: nothing was)."""
        skipped, self._skipped = self._skipped, None
        data = self._chunks.popleft()
        if len(data) > most:
            self._chunks.appendleft(data[most:])
        self.size -= min(len(data), most)
        return skipped, data[:most]

    def keep_last(self, most: int) -> int:
        """Leave out what is before the last ``most`` bytes, up to the end of a line; how many bytes that were."""
        if self.size <= 2 * most:
            return 0
        data = b"".join(self._chunks)
        cut = data.find(b"\n", len(data) - most) + 1 or len(data) - most
        self._skipped = (self._skipped or 0) + data.count(b"\n", 0, cut)
        self._chunks = deque([data[cut:]])
        self.size = len(data) - cut
        return cut
