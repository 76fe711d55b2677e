"""Pure: a run's timeline as SVG: a track a device, and above them how many tests waited."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence, Set

from trainci.model.look import Sample
from trainci.reports.timeline import Doing, Slice, rows_of, waiting_counts
from trainci.reports.words import duration
from trainci.text import printable

_WIDTH = 1000
_LABEL = 90
_TRACK = 22
_QUEUE = 36
_AXIS = 18
_CURVE = 20
_POINTS = 200
# Beyond this a slice is too narrow to be pointed at, and its title only costs bytes.
_MOST_TITLED = 2000
_TICKS = (0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def timeline(found: Sequence[Slice], red: Set[str], samples: Sequence[Sample] = ()) -> str:
    """The drawing, empty where no device was held. ``red`` are the ids of the red tests.

    With ``samples`` a curve below each track says how busy the device was, and a line how much memory was in use.
    """
    rows = rows_of(found)
    if not rows:
        return ""
    begin, end = min(one.start for one in found), max(one.end for one in found)
    scale = _Scale(begin, max(end - begin, 1e-3))
    curves = _curves(samples, scale)
    pitch = _TRACK + (_CURVE if curves else 0)
    height = _QUEUE + pitch * len(rows) + _AXIS
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="timeline-title" class="timeline">',
        '<title id="timeline-title">Which test held which device when, and how many tests waited</title>',
        *_queue(found, scale),
        *_axis(scale, height),
    ]
    for row, (device, held) in enumerate(rows.items()):
        y = _QUEUE + row * pitch
        parts.append(f'<text x="0" y="{y + 15}">{_short(device)}</text>')
        parts.append(f'<path class="track" d="M{_LABEL} {y + pitch - 0.5}H{_WIDTH}"/>')
        if device in curves:
            parts.append(f'<g transform="translate(0 {y + _TRACK})">{curves[device]}</g>')
        parts += _track(held, y, scale, red, len(found))
    return "".join([*parts, "</svg>"])


class _Scale:
    """Times as places on the drawing."""

    def __init__(self, begin: float, seconds: float) -> None:
        self.begin = begin
        self.seconds = seconds

    def x(self, at: float) -> float:
        return round(_LABEL + (at - self.begin) / self.seconds * (_WIDTH - _LABEL), 1)


def _track(held: Sequence[Slice], y: int, scale: _Scale, red: Set[str], slices_of_all: int) -> Iterator[str]:
    for one in held:
        x, width = scale.x(one.start), max(0.5, round(scale.x(one.end) - scale.x(one.start), 1))
        kind = "red" if one.test_id in red else "run"
        shape = f'<rect class="{kind}" x="{x}" y="{y + 2}" width="{width}" height="{_TRACK - 4}"'
        if slices_of_all > _MOST_TITLED:
            yield f"{shape}/>"
            continue
        again = f", attempt {one.attempt}" if one.attempt > 1 else ""
        title = html.escape(f"{printable(one.test_id)}{again}: {duration(one.end - one.start)}")
        yield f"{shape}><title>{title}</title></rect>"


def _curves(samples: Sequence[Sample], scale: _Scale) -> dict[str, str]:
    """For each device its curve, of at most _POINTS points, each the largest of its stretch of time."""
    most = max((one.memory for one in samples), default=0) or 1
    found: dict[str, dict[int, tuple[float, int, int]]] = {}
    for one in samples:
        place = min(_POINTS - 1, max(0, int((one.at - scale.begin) / scale.seconds * _POINTS)))
        x, percent, memory = found.setdefault(one.device, {}).get(place, (scale.x(one.at), 0, 0))
        found[one.device][place] = (x, max(percent, one.percent or 0), max(memory, one.memory))
    return {device: _curve([points[at] for at in sorted(points)], most) for device, points in found.items()}


def _curve(points: Sequence[tuple[float, int, int]], most: int) -> str:
    bottom, height = _CURVE - 2, _CURVE - 5
    busy = "".join(f"L{x} {round(bottom - percent / 100 * height, 1)}" for x, percent, _ in points)
    memory = "L".join(f"{x} {round(bottom - used / most * height, 1)}" for x, _, used in points)
    first, last = points[0][0], points[-1][0]
    return f'<path class="busy" d="M{first} {bottom}{busy}L{last} {bottom}Z"/><path class="memory" d="M{memory}"/>'


def _queue(found: Sequence[Slice], scale: _Scale) -> Iterator[str]:
    counts = waiting_counts(found)
    most = max((count for _, count in counts), default=0)
    yield f'<text x="0" y="{_QUEUE - 14}">waiting</text>'
    if not most:
        return
    top = _QUEUE - 8
    # Of the counts at one place the largest is drawn: more lines there could not be told apart.
    at_place: dict[int, int] = {}
    for at, count in counts:
        place = round(scale.x(at))
        at_place[place] = max(at_place.get(place, 0), count)
    path = f"M{next(iter(at_place))} {top}"
    for place, count in at_place.items():
        path += f"H{place}V{round(top - count / most * (top - 4), 1)}"
    yield f'<path class="queue" d="{path}H{scale.x(scale.begin + scale.seconds)}V{top}Z"/>'
    yield f'<text x="{_LABEL - 6}" y="12" text-anchor="end">{most}</text>'


def _axis(scale: _Scale, height: int) -> Iterator[str]:
    step = next((tick for tick in _TICKS if scale.seconds / tick <= 8), _TICKS[-1])
    for number in range(int(scale.seconds / step) + 1):
        x = scale.x(scale.begin + number * step)
        yield f'<path class="grid" d="M{x} {_QUEUE}V{height - _AXIS}"/>'
        anchor = "end" if x > _WIDTH - 40 else "middle"
        yield f'<text class="tick" x="{x}" y="{height - 4}" text-anchor="{anchor}">{duration(number * step)}</text>'


def bar(found: Sequence[Slice], begin: float, seconds: float) -> str:
    """One test's own time within the run, to stand in a row of a table."""
    classes = {Doing.WAITING: "queue", Doing.PREPARING: "prepare", Doing.RUNNING: "run"}
    rects = "".join(
        f'<rect class="{classes[one.doing]}" x="{round((one.start - begin) / seconds * 100, 1)}" y="0" '
        f'width="{max(0.3, round((one.end - one.start) / seconds * 100, 1))}" height="10"/>'
        for one in found
    )
    return f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" class="bar">{rects}</svg>'


def _short(name: str) -> str:
    """A device's name in the room that its track has: the end tells two apart."""
    shown = printable(name)
    return html.escape(shown if len(shown) <= 12 else f"…{shown[-11:]}")
