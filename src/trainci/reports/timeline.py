"""Pure: who waited, prepared and ran when, on which devices, from the events of a run."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainci.model import events
from trainci.model.run import Phase


class Doing(enum.Enum):
    """What a test does in a slice of time. The value is the word that reports use."""

    WAITING = "waiting"
    PREPARING = "preparing"
    RUNNING = "running"


@dataclass(frozen=True)
class Slice:
    """A stretch of a test's time, in Unix times. Only what runs has ``devices``; ``attempt`` is 0 before any."""

    test_id: str
    attempt: int
    doing: Doing
    start: float
    end: float
    devices: tuple[str, ...] = ()


@dataclass
class _Open:
    """What a test does now, since when."""

    attempt: int
    doing: Doing
    start: float
    devices: tuple[str, ...] = ()


class Drawing:
    """Who waited, prepared and ran so far, event by event."""

    def __init__(self) -> None:
        self._found: list[Slice] = []
        self._open: dict[str, _Open] = {}
        self._last = 0.0

    def slices(self) -> tuple[Slice, ...]:
        """Each test's time in the run, from its beginning; what has no end yet ends with the last event."""
        longer = (one for one in self._as_of_now() if one.end > one.start)
        return tuple(sorted([*self._found, *longer], key=lambda one: (one.start, one.test_id)))

    def going_on(self) -> tuple[Slice, ...]:
        """What each test that has not ended does as of the last event, up to that; what runs comes first."""
        order = (Doing.RUNNING, Doing.PREPARING, Doing.WAITING)
        return tuple(sorted(self._as_of_now(), key=lambda one: order.index(one.doing)))

    def take(self, event: events.Control) -> None:
        """The next event of the run."""
        self._last = max(self._last, event.at)
        match event:
            case events.RunStarted():
                for test in event.tests:
                    self._open[test.test_id] = _Open(0, Doing.WAITING, event.at)
            case events.Queued():
                self._begin(event.test_id, event.at, _Open(event.attempt, Doing.WAITING, event.at))
            case events.Started(phase=Phase.PREPARE):
                self._begin(event.test_id, event.at, _Open(event.attempt, Doing.PREPARING, event.at))
            case events.Granted() if event.devices:
                self._begin(event.test_id, event.at, _Open(event.attempt, Doing.RUNNING, event.at, event.devices))
            case events.Started():
                now = self._open.get(event.test_id)
                if now is None or now.doing is not Doing.RUNNING:
                    self._begin(event.test_id, event.at, _Open(event.attempt, Doing.RUNNING, event.at))
            case events.Ended(final=False):
                self._begin(event.test_id, event.at, _Open(event.attempt, Doing.WAITING, event.at))
            case events.Ended() | events.Concluded():
                self._end(event.test_id, event.at)

    def _as_of_now(self) -> list[Slice]:
        return [Slice(name, o.attempt, o.doing, o.start, self._last, o.devices) for name, o in self._open.items()]

    def _begin(self, test_id: str, at: float, now: _Open) -> None:
        self._end(test_id, at)
        self._open[test_id] = now

    def _end(self, test_id: str, at: float) -> None:
        done = self._open.pop(test_id, None)
        if done and at > done.start:
            self._found.append(Slice(test_id, done.attempt, done.doing, done.start, at, done.devices))


def slices(told: Iterable[events.Control]) -> tuple[Slice, ...]:
    """As ``Drawing.slices``, of all that is told."""
    drawing = Drawing()
    for event in told:
        drawing.take(event)
    return drawing.slices()


def rows_of(found: Iterable[Slice]) -> dict[str, list[Slice]]:
    """The slices of every device that was held, in the order of the devices' names, numbers by their size.

    No two of a row overlap. Where an engine has nodes, each has a device of that name, and is heard of late:
    there is a row for each that was held at once.
    """
    rows: dict[tuple[str, int], list[Slice]] = {}
    for one in sorted(found, key=lambda one: (one.start, one.end)):
        for device in one.devices:
            free = (row for row in itertools.count(1) if _is_free(rows.get((device, row)), one))
            rows.setdefault((device, next(free)), []).append(one)
    names = sorted(rows, key=lambda name: ([(len(part), part) for part in name[0].split("-")], name[1]))
    return {f"{device} ({row})" if row > 1 else device: rows[device, row] for device, row in names}


def _is_free(row: Sequence[Slice] | None, one: Slice) -> bool:
    return not row or row[-1].end <= one.start


def waiting_counts(found: Sequence[Slice]) -> list[tuple[float, int]]:
    """How many tests waited, from which time on."""
    changes: dict[float, int] = {}
    for one in found:
        if one.doing is Doing.WAITING:
            changes[one.start] = changes.get(one.start, 0) + 1
            changes[one.end] = changes.get(one.end, 0) - 1
    counts: list[tuple[float, int]] = []
    count = 0
    for at in sorted(changes):
        count += changes[at]
        if not counts or counts[-1][1] != count:
            counts.append((at, count))
    return counts


@dataclass(frozen=True)
class Spent:
    """Device-seconds: of all that a run had, what tests held, what of it attempts that did not count held.

    ``idle_wanted`` is what nobody held while a test waited.
    """

    total: float
    held: float
    retried: float
    idle_wanted: float


def spent(found: Sequence[Slice]) -> Spent:
    """Where the time of the devices went, from the first slice to the last."""
    runs = [one for one in found if one.devices]
    if not runs:
        return Spent(0.0, 0.0, 0.0, 0.0)
    begin, end, count = found[0].start, max(one.end for one in found), len(rows_of(runs))
    last: dict[str, int] = {}
    for one in runs:
        last[one.test_id] = max(last.get(one.test_id, 0), one.attempt)
    return Spent(
        total=(end - begin) * count,
        held=sum(_device_seconds(one) for one in runs),
        retried=sum(_device_seconds(one) for one in runs if one.attempt < last[one.test_id]),
        idle_wanted=_idle_wanted(found, count),
    )


def _device_seconds(one: Slice) -> float:
    return (one.end - one.start) * len(one.devices)


def _idle_wanted(found: Sequence[Slice], count: int) -> float:
    """Device-seconds that nobody held while somebody waited."""
    changes: list[tuple[float, int, int]] = []
    for one in found:
        held, waits = len(one.devices), int(one.doing is Doing.WAITING)
        changes += [(one.start, held, waits), (one.end, -held, -waits)]
    idle, held, waits, before = 0.0, 0, 0, 0.0
    for at, more_held, more_waits in sorted(changes):
        if waits:
            idle += (at - before) * (count - held)
        held, waits, before = held + more_held, waits + more_waits, at
    return idle
