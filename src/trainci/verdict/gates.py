"""Pure: whether a number really moved. What a metric must be, its bounds or its own history say."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from trainci.model.gates import Baseline, Gate, Judgement, Measured, Standing, Trusted
from trainci.model.run import Attempt, Metric, Result
from trainci.text import counted, printable
from trainci.verdict.baselines import LEAST, one_series

RUNS = 3
"""So many runs of a commit decide about a value that is suspicious, the first one included."""


def measured(gates: Sequence[Gate], metrics: Iterable[Metric]) -> tuple[Measured, ...]:
    """What is gated of all that an attempt recorded, in the order in which it was: the last value of each."""
    found: dict[Gate, Metric] = {}
    for metric in metrics:
        for gate in gates:
            if gate.metric == metric.name and gate.step in (None, metric.step):
                found[gate] = metric
    return tuple(
        Measured(metric.name, metric.value if abs(metric.value) < float("inf") else None, metric.step)
        for metric in (found[gate] for gate in gates if gate in found)
    )


def fault(gate: Gate, attempt: Attempt) -> str:
    """What is wrong with the metric of an attempt by itself, in a sentence; empty for nothing."""
    found = _of(gate, attempt)
    if found is None:
        at = "" if gate.step is None else f" at step {gate.step}"
        return f"{printable(gate.metric)}: no value was recorded{at}"
    if found.value is None:
        return f"{_named(found)} is no finite number"
    said, low, high = f"{_named(found)} = {found.value:.6g}", gate.low, gate.high
    if (low is not None and found.value < low) or (high is not None and found.value > high):
        if low == high:
            return f"{said} is not {low!r} exactly ({found.value!r})"
        if low is None or high is None:
            return f"{said} is above {high:g}" if low is None else f"{said} is below {low:g}"
        return f"{said} is outside {low:.6g} to {high:.6g}"
    return ""


def judged(attempts: Sequence[Attempt], baseline: Baseline) -> tuple[Judgement, ...]:
    """How each metric stands that its history gates, by the passed ``attempts`` of one run."""
    gates = [gate for gate in attempts[0].test.metrics if gate.by_history] if attempts else []
    return tuple(_judged(gate, attempts, baseline) for gate in gates)


def _judged(gate: Gate, attempts: Sequence[Attempt], baseline: Baseline) -> Judgement:
    # Each attempt may have run elsewhere: one on another kind of device says nothing of this one.
    kind, image = attempts[0].kind, attempts[0].image
    alike = [attempt for attempt in attempts if (attempt.kind, attempt.image) == (kind, image)]
    found = [one for attempt in alike if (one := _of(gate, attempt)) is not None]
    values = tuple(one.value for one in found if one.value is not None)
    past = baseline.measured.get(gate.metric, ())
    decided = (one for one in baseline.decisions if one.metric == gate.metric)
    known = one_series(gate, kind, image, past, decided).trusted
    new = bool(past) and all((one.kind, one.image) != (kind, image) for one in past)
    standing = standing_of(values, known, new=new, over=len(attempts) >= RUNS)
    return Judgement(
        gate.metric,
        standing,
        _sentence(found[0], values, standing, known, baseline.base, (kind, image)),
        values,
        gate.step,
        kind,
        image,
        len(known.values),
        known.band,
        known.wide,
    )


def standing_of(values: Sequence[float], known: Trusted, *, new: bool, over: bool) -> Standing:
    """How ``values`` of one commit stand to what is ``known``; ``over``: there will be no more of them."""
    if known.band is None or known.wide is None:
        return Standing.NEW if new else Standing.TOO_FEW
    if known.usual(values[0]):
        return Standing.WITHIN
    if not over:
        return Standing.SUSPICIOUS
    return Standing.ODD if known.possible(statistics.median(values)) else Standing.MOVED


def _sentence(
    first: Measured, values: Sequence[float], standing: Standing, known: Trusted, base: str, where: tuple[str, str]
) -> str:
    value = f"{_named(first)} = {values[0]:.4g}"
    of = f"{counted(len(known.values), 'run')}{f' on {printable(base)}' if base else ''}"
    if known.before:
        of += f", as wide as that of the {counted(len(known.before.values), 'run')} before it was accepted"
    median = f"{statistics.median(values):.4g}"
    match standing:
        case Standing.WITHIN:
            return f"{value} is in the band {known.band} of {of}"
        case Standing.SUSPICIOUS:
            return f"{value} is outside the band {known.band} of {of}"
        case Standing.ODD:
            return (
                f"{value} was outside the band {known.band} of {of}; the median of {len(values)} runs is {median}"
            )
        case Standing.MOVED:
            first_said = f" ({values[0]:.4g} at first)" if median != f"{values[0]:.4g}" else ""
            return (
                f"{_named(first)} = {median}{first_said} left the band {known.wide} of {of} "
                f"(median of {len(values)} runs)"
            )
        case Standing.NEW:
            return f"{value} begins a new series on {series_name(*where)}, and gates nothing yet"
        case Standing.TOO_FEW:
            return f"{value} gates nothing yet: {len(known.values)} of {LEAST} trusted runs"


def series_name(kind: str, image: str) -> str:
    """A kind of device and an image in words."""
    return printable(f"{kind or 'no device'}{f', image {image}' if image else ''}")


def announced(results: Iterable[Result]) -> list[str]:
    """What there is to say once of a whole run: the series that began with it."""
    found: dict[str, list[str]] = {}
    for result in results:
        for one in result.verdict.judgements:
            if one.standing is Standing.NEW:
                found.setdefault(series_name(one.kind, one.image), []).append(result.test_id)
    return [
        f"new series on {name}: {counted(len(tests), 'metric')} of {counted(len(set(tests)), 'test')} "
        f"gate nothing until {LEAST} trusted runs are there"
        for name, tests in found.items()
    ]


def _of(gate: Gate, attempt: Attempt) -> Measured | None:
    alike = (one for one in attempt.measured if one.metric == gate.metric)
    return next((one for one in alike if gate.step in (None, one.step)), None)


def _named(found: Measured) -> str:
    return printable(found.metric) + ("" if found.step is None else f" at step {found.step}")
