"""Pure: the durations of a test, run by run, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.answers.values import PastResult
from trainci.model.run import Outcome
from trainci.reports.words import duration

_BAR = 8
_HEIGHT = 120
_GREEN = (Outcome.PASSED.value, Outcome.SKIPPED.value)


def durations(results: Sequence[PastResult]) -> str:
    """A bar for each of ``results`` (the newest first) with a duration, the newest at the right; empty for none."""
    known = [(result, result.duration) for result in reversed(results) if result.duration is not None]
    if not known:
        return ""
    most = max([took for _, took in known]) or 1.0
    bars = []
    for place, (result, took) in enumerate(known):
        height = max(1.0, round(took / most * _HEIGHT, 1))
        kind = "run" if result.outcome in _GREEN else "red"
        bars.append(
            f'<rect class="{kind}" x="{place * _BAR}" y="{_HEIGHT - height}" width="{_BAR - 2}" height="{height}"/>'
        )
    said = (
        f"How long it took in its last {len(known)} runs, at most {duration(most)}; red bars did not pass at once"
    )
    width = max(len(known) * _BAR, 200)
    return (
        f'<svg class="durations" viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}" role="img" '
        f'aria-label="{said}">{"".join(bars)}</svg>'
    )
