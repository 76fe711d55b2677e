"""Pure: which earlier values are trusted, and the bands in which others like them are expected."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainci.model.gates import Band, Decision, Gate, Measurement, Trusted
from trainci.model.run import Outcome

LEAST = 8
"""Of fewer values no band is made."""
MOST = 50
"""So many of the newest values count: what was long ago says little of today's code."""
_SHARE = 0.1
# The scale below is wide for few values: times this, the deviation of 10 to 50 normal values is right on average.
_FACTOR = 0.97
_BAND, _WIDE = 0.05, 0.01


@dataclass(frozen=True)
class Point:
    """A value of a series as it is drawn. ``trusted``: the bands rest on it, among others."""

    run: str
    commit: str
    at: float
    value: float
    trusted: bool


@dataclass(frozen=True)
class Series:
    """The values of a metric over runs, the newest first, on one kind of device in one image, and their bands."""

    metric: str
    kind: str
    image: str
    points: tuple[Point, ...]
    trusted: Trusted


def series(gate: Gate, measured: Sequence[Measurement], decisions: Iterable[Decision]) -> tuple[Series, ...]:
    """Each series of ``measured``, which are of the metric of ``gate`` and the newest first."""
    decisions = tuple(decisions)
    names = dict.fromkeys((one.kind, one.image) for one in measured)
    return tuple(one_series(gate, *name, measured, decisions) for name in names)


def one_series(
    gate: Gate, kind: str, image: str, measured: Sequence[Measurement], decisions: Iterable[Decision]
) -> Series:
    """The series of that kind and image; without a value where none is known."""
    own = [one for one in measured if (one.kind, one.image) == (kind, image)]
    runs = {one.run for one in own}
    # What somebody accepted elsewhere, on another kind of device, is another series.
    about = sorted((one for one in decisions if not one.run or one.run in runs), key=lambda one: one.at)
    last, earlier = (about[-1], about[:-1]) if about else (None, [])
    trusted = _trusted(own, last)
    points = [
        Point(one.run, one.commit, one.at, one.value, one in trusted)
        for one in own
        if one.value is not None and math.isfinite(one.value)
    ]
    known = bands(_values(gate, trusted), log=gate.log)
    if last and last.run and known.values and known.band is None:
        until = [one for one in own if one.at <= last.at and one.run != last.run]
        before = bands(_values(gate, _trusted(until, earlier[-1] if earlier else None)), log=gate.log)
        accepted = _values(gate, [one for one in trusted if one.run == last.run])
        known = _carried(known.values, accepted, before, log=gate.log)
    return Series(gate.metric, kind, image, tuple(points), known)


def _trusted(own: Sequence[Measurement], last: Decision | None) -> list[Measurement]:
    """Those of ``own`` that count after the ``last`` decision about them."""
    first: dict[str, int] = {}
    for one in own:
        first[one.run] = min(first.get(one.run, one.attempt), one.attempt)
    return [
        one
        for one in own
        if (last is not None and last.run == one.run)
        # A run that was repeated for its value has one that was not chosen: the first.
        or (
            one.attempt == first[one.run]
            and one.on_base
            and one.outcome == Outcome.PASSED.value
            and (last is None or one.at > last.at)
        )
    ]


def _values(gate: Gate, trusted: Iterable[Measurement]) -> list[float]:
    """Their values. No logarithm: whatever it is, it is far from the others."""
    values = (one.value for one in trusted if one.value is not None and math.isfinite(one.value))
    return [value for value in values if value > 0 or not gate.log][:MOST]


def _carried(values: tuple[float, ...], accepted: Sequence[float], before: Trusted, *, log: bool) -> Trusted:
    """``values`` with bands around what was ``accepted``, as wide as those ``before``: too few tell no spread.

    Where values have grown they may differ by as much more. So few tell little of their middle, either, for which
    a prediction interval is wider. What comes of the code before the change is left out.
    """
    if not accepted or before.band is None:
        return Trusted(values)
    try:
        old = [math.log(value) if log else value for value in before.values]
        new = [math.log(value) if log else value for value in values]
        near = [math.log(value) if log else value for value in accepted]
        band, _ = _moved(old, near, log=log)
        band, wide = _moved(old, [value for value in new if band.holds(value)] or near, log=log)
        if log:
            band, wide = _exponential(band), _exponential(wide)
    except OverflowError:
        return Trusted(values)
    return Trusted(values, band, wide, before)


def _moved(old: Sequence[float], new: Sequence[float], *, log: bool) -> tuple[Band, Band]:
    """The bands of the values that were, moved to where the ``new`` ones are."""
    was, now = statistics.median(old), statistics.median(new)
    stretch = 1.0 if log or not was else max(1.0, abs(now / was))
    wider = stretch * math.sqrt((1 + 1 / len(new)) / (1 + 1 / len(old)))
    return _bands([now + (value - was) * wider for value in old])


def bands(values: Sequence[float], *, log: bool = False) -> Trusted:
    """``values`` with the bands in which another one like them is, 95 and 99 times of 100.

    ``log``: they are positive, and differ by factors.

    A prediction interval of winsorised mean and deviation: the smallest and largest tenth (at least one value)
    count as their nearest neighbour, so that a stray one does not widen the band. The deviation is scaled, and the
    quantile of Student's t has the degrees of freedom, of the values that are left (Tukey and McLaughlin 1963,
    Sankhya A 25, 331-352; Dixon and Tukey 1968, Technometrics 10, 83-98). benchmarks/results/gates.md has what
    that gives.
    """
    known = tuple(values)
    if len(known) < LEAST:
        return Trusted(known)
    try:
        if not log:
            return Trusted(known, *_bands(known))
        found = _bands([math.log(value) for value in known])
        return Trusted(known, _exponential(found[0]), _exponential(found[1]))
    except OverflowError:
        # Of the largest numbers that there are nothing can be computed.
        return Trusted(known)


def _exponential(band: Band) -> Band:
    return Band(math.exp(band.low), math.exp(band.high))


def _bands(values: Sequence[float]) -> tuple[Band, Band]:
    count = len(values)
    cut = max(1, int(count * _SHARE))
    ordered = sorted(values)
    low, high = ordered[cut], ordered[-cut - 1]
    drawn_in = [min(max(value, low), high) for value in ordered]
    left = count - 2 * cut
    middle = statistics.fmean(drawn_in)
    deviation = statistics.stdev(drawn_in) * _FACTOR * (count - 1) / (left - 1) * math.sqrt(1 + 1 / count)

    def band(outside: float) -> Band:
        away = _t_quantile(1 - outside / 2, left - 1) * deviation
        # Of equal values the mean may differ from each in its last bit.
        return Band(min(middle - away, low), max(middle + away, high))

    return band(_BAND), band(_WIDE)


def _t_quantile(probability: float, freedom: int) -> float:
    """Student's t, by the expansion 26.7.5 of Abramowitz and Stegun; from 5 degrees on right to 1 in 1000."""
    z = statistics.NormalDist().inv_cdf(probability)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / math.pow(freedom, power) for power, term in enumerate(terms, start=1))
