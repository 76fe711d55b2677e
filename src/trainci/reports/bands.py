"""Pure: the values of a metric and the bands in which they are expected, as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from trainci.model.gates import Band, Judgement
from trainci.text import counted, printable
from trainci.verdict.baselines import Series

_LEFT, _RIGHT, _STEP = 80, 16, 12
_HEIGHT, _MARGIN = 120, 10
_LEAST_WIDTH = 320
_MOST = 100


@dataclass(frozen=True)
class Drawn:
    """A metric as it is shown: what it is, what there is to say of it, and its drawing (SVG)."""

    metric: str
    said: str
    drawing: Markup


@dataclass(frozen=True)
class _Value:
    value: float
    trusted: bool
    title: str


def of_series(series: Series) -> Drawn:
    """The last values of a metric over runs, the newest at the right; the bands rest on those that are trusted."""
    points = list(reversed(series.points[:_MOST]))
    values = [_Value(one.value, one.trusted, f"{one.value:.6g} at {one.commit[:10] or one.run}") for one in points]
    where = ", ".join(part for part in (series.kind, series.image) if part)
    trusted = len(series.trusted.values)
    return Drawn(
        printable(f"{series.metric} on {where}" if where else series.metric),
        _expected(series.trusted.band, trusted),
        _drawing(series.metric, values, series.trusted.band, series.trusted.wide),
    )


def of_judgement(one: Judgement) -> Drawn:
    """The values of a run, those that were repeated at the right, against what they were held to."""
    values = [_Value(value, True, f"{value:.6g}") for value in one.values]
    return Drawn(printable(one.metric), printable(one.sentence), _drawing(one.metric, values, one.band, one.wide))


def _expected(band: Band | None, trusted: int) -> str:
    if band is None:
        return f"{counted(trusted, 'trusted run')}: too few for a band"
    return f"expected: {band} ({counted(trusted, 'trusted run')})"


def _drawing(metric: str, values: Sequence[_Value], band: Band | None, wide: Band | None) -> Markup:
    """The drawing, empty where there is nothing that can be drawn."""
    values = [one for one in values if math.isfinite(one.value)]
    edges = [edge for each in (band, wide) if each for edge in (each.low, each.high)]
    every = [*(one.value for one in values), *edges]
    if not values or not math.isfinite(max(every) - min(every)):
        return Markup()
    low, span = min(every), (max(every) - min(every)) or 1.0
    width = max(_LEAST_WIDTH, _LEFT + _RIGHT + _STEP * len(values))

    def y(value: float) -> float:
        return round(_HEIGHT - _MARGIN - (value - low) / span * (_HEIGHT - 2 * _MARGIN), 1)

    parts = [
        f'<rect class="{kind}" x="{_LEFT}" y="{y(each.high)}" width="{width - _LEFT}" '
        f'height="{max(1.0, round(y(each.low) - y(each.high), 1))}"/>'
        for kind, each in (("wide", wide), ("band", band))
        if each
    ]
    ends = {max(every): y(max(every)), min(every): y(min(every))}
    parts += [
        f'<text x="{_LEFT - 6}" y="{at + 4}" text-anchor="end">{value:.5g}</text>' for value, at in ends.items()
    ]
    for place, one in enumerate(values):
        kind = "out" if band and not band.holds(one.value) else "in" if one.trusted else "other"
        x = width - _RIGHT - _STEP * (len(values) - 1 - place)
        parts.append(
            f'<circle class="{kind}" cx="{x}" cy="{y(one.value)}" r="4"><title>{_text(one.title)}</title></circle>'
        )
    out = sum(band is not None and not band.holds(one.value) for one in values)
    said = f"{metric}: {counted(len(values), 'value')}" + (f", {out} of them outside of the band" if band else "")
    return Markup(
        f'<svg class="bands" viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}" role="img" '
        f'aria-label="{_text(said)}">{"".join(parts)}</svg>'
    )


def _text(text: str) -> str:
    return html.escape(printable(text))
