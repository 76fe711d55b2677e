"""Pure: who waited, prepared and ran when, on which devices, from the events of a run."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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


@dataclass
class _Drawing:
    """The slices so far, and what goes on."""

    found: list[Slice] = field(default_factory=list)
    open: dict[str, _Open] = field(default_factory=dict)

    def begin(self, test_id: str, at: float, now: _Open) -> None:
        self.end(test_id, at)
        self.open[test_id] = now

    def end(self, test_id: str, at: float) -> None:
        done = self.open.pop(test_id, None)
        if done and at > done.start:
            self.found.append(Slice(test_id, done.attempt, done.doing, done.start, at, done.devices))


def going_on(told: Iterable[events.Control]) -> tuple[Slice, ...]:
    """What each test that has not ended does as of the last event, each slice up to that; what runs comes first."""
    drawing, last = _drawn(told)
    order = (Doing.RUNNING, Doing.PREPARING, Doing.WAITING)
    now = [Slice(test_id, o.attempt, o.doing, o.start, last, o.devices) for test_id, o in drawing.open.items()]
    return tuple(sorted(now, key=lambda one: order.index(one.doing)))


def slices(told: Iterable[events.Control]) -> tuple[Slice, ...]:
    """Each test's time in the run, from its beginning; what had no end ends with the last event."""
    drawing, last = _drawn(told)
    for test_id in list(drawing.open):
        drawing.end(test_id, last)
    return tuple(sorted(drawing.found, key=lambda one: (one.start, one.test_id)))


def _drawn(told: Iterable[events.Control]) -> tuple[_Drawing, float]:
    """All that is told, and the time of the last event."""
    drawing, last = _Drawing(), 0.0
    for event in told:
        last = max(last, event.at)
        _take(drawing, event)
    return drawing, last


def _take(drawing: _Drawing, event: events.Control) -> None:
    match event:
        case events.RunStarted():
            for test in event.tests:
                drawing.open[test.test_id] = _Open(0, Doing.WAITING, event.at)
        case events.Queued():
            drawing.begin(event.test_id, event.at, _Open(event.attempt, Doing.WAITING, event.at))
        case events.Started(phase=Phase.PREPARE):
            drawing.begin(event.test_id, event.at, _Open(event.attempt, Doing.PREPARING, event.at))
        case events.Granted() if event.devices:
            drawing.begin(event.test_id, event.at, _Open(event.attempt, Doing.RUNNING, event.at, event.devices))
        case events.Started():
            now = drawing.open.get(event.test_id)
            if now is None or now.doing is not Doing.RUNNING:
                drawing.begin(event.test_id, event.at, _Open(event.attempt, Doing.RUNNING, event.at))
        case events.Ended(final=False):
            drawing.begin(event.test_id, event.at, _Open(event.attempt, Doing.WAITING, event.at))
        case events.Ended() | events.Concluded():
            drawing.end(event.test_id, event.at)


def devices_of(found: Iterable[Slice]) -> tuple[str, ...]:
    """Every device that was held, in the order of their names, numbers by their size."""
    names = {device for one in found for device in one.devices}
    return tuple(sorted(names, key=lambda name: [(len(part), part) for part in name.split("-")]))


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
    begin, end, count = found[0].start, max(one.end for one in found), len(devices_of(runs))
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
