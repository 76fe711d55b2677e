"""A run as one HTML file: nothing is fetched, and no script is needed to read it."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from trainci import __version__
from trainci.model.diagnosis import Diagnosis
from trainci.model.look import Sample
from trainci.model.run import Metric, Outcome, Result, Run
from trainci.reports import items_of, last_lines, telling_lines
from trainci.reports.bands import Drawn, of_judgement
from trainci.reports.reason import is_red, particulars, reason, red
from trainci.reports.svg import bar, timeline
from trainci.reports.timeline import Doing, Slice, spent
from trainci.reports.words import duration, totals, utc_time
from trainci.text import counted, printable
from trainci.verdict.decide import fails

# Read at once: an upgrade may take them away while a run goes on, whose page is made at its end.
_FILES = {
    name: resources.files("trainci.reports").joinpath(name).read_text("utf-8")
    for name in ("page.html.j2", "run.html.j2", "page.css")
}
# What all logs on the page may take together, and one at most; and how long a line of them may be.
_ROOM_FOR_LOGS = 150_000
_MOST_OF_A_LOG = 8_000
_LONGEST_LINE = 400
_MOST_LINES = 60
# Of a test that hung the end of the log has every process with its stacks.
_MOST_LINES_OF_HUNG = 600
_MOST_OF_HUNG = 40_000
_MOST_RED = 500
_MOST_ITEMS = 20
_MOST_BARS = 300
_MOST_METRICS = 500
_MOST_BANDS = 100


def page(
    run: Run,
    found: Sequence[Slice],
    root: Path,
    metrics: Mapping[str, Sequence[Metric]],
    links_from: Path | None = None,
    samples: Sequence[Sample] = (),
) -> bytes:
    """The page of ``run``, whose slices are ``found`` and whose logs are below ``root``.

    ``links_from`` is the folder in which the page will lie, from which its links to logs are made.
    """
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            version=__version__,
            style=Markup(style()),
            style_hash=_hash(style()),
            **shown(run, found, root, metrics, lambda log: _link(log, links_from) if links_from else "", samples),
        )
    )
    return text.encode("utf-8", "replace")


def shown(
    run: Run,
    found: Sequence[Slice],
    root: Path,
    metrics: Mapping[str, Sequence[Metric]],
    link: Callable[[Path], str],
    samples: Sequence[Sample] = (),
    most_tests: int | None = None,
) -> dict[str, Any]:
    """What ``run.html.j2`` shows of a run, as ``page``; ``link`` leads to a log, empty where nothing does.

    At most ``most_tests`` are listed, and as many red ones told of; the others are counted.
    """
    every_red = red(run)
    red_ones = every_red[: min(_MOST_RED, most_tests or _MOST_RED)]
    anchors = {result.test_id: f"test-{number}" for number, result in enumerate(red_ones, start=1)}
    of_test: dict[str, list[Slice]] = {}
    for one in found:
        of_test.setdefault(one.test_id, []).append(one)
    room = min(_MOST_OF_A_LOG, _ROOM_FOR_LOGS // max(1, len(red_ones)))
    return {
        "title": _headline(run),
        "totals": totals(run),
        "run": run,
        "began": utc_time(run.started_at),
        "red": [_red(run, result, anchors[result.test_id], root, room, link) for result in red_ones],
        "left_red": len(every_red) - len(red_ones),
        "drawing": Markup(timeline(found, {result.test_id for result in every_red}, samples)),
        "spent": _spent(found),
        "most_memory": f"{max((one.memory for one in samples), default=0) / (1 << 30):.1f} GiB" if samples else "",
        "bars": len(run.results) <= _MOST_BARS,
        "rows": [_row(run, one, of_test.get(one.test_id, ()), anchors) for one in _ordered(run)[:most_tests]],
        "left_rows": max(0, len(run.results) - most_tests) if most_tests else 0,
        "metrics": _metrics(metrics),
        "bands": _bands(run),
    }


def style() -> str:
    """The style of all pages."""
    return _FILES["page.css"]


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.DictLoader(_FILES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=inert,
    )


def inert(value: object) -> object:
    """Whatever a page shows: what cannot be printed is escaped. Several lines stay so."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return "\n".join(map(printable, value.split("\n")))
    return value


def _hash(style: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"


def _headline(run: Run) -> str:
    count = sum(map(fails, run.results))
    if count:
        return f"{count} of {counted(len(run.results), 'test')} red"
    ran = any(result.verdict.outcome is not Outcome.SKIPPED for result in run.results)
    return "Nothing is red" if ran else "Nothing ran"


def _red(
    run: Run, result: Result, anchor: str, root: Path, room: int, link: Callable[[Path], str]
) -> dict[str, Any]:
    last = result.attempts[-1] if result.attempts else None
    items, more = items_of(result, _MOST_ITEMS)
    return {
        "anchor": anchor,
        "id": printable(result.test_id),
        "outcome": result.verdict.outcome.value,
        "reason": reason(result.verdict),
        "particulars": particulars(result.verdict),
        "log": printable(last.log) if last else "",
        "link": link(root / last.log) if last else "",
        "replay": printable(run.replay.get(result.test_id, "")),
        "parts": [
            {"outcome": item.outcome, "name": printable(item.name), "message": _short(item.message)}
            for item in items
            if item.outcome != "passed"
        ],
        "more_parts": more,
        "lines": _lines(root / last.log, result, room) if last else "",
    }


def _lines(log: Path, result: Result, room: int) -> str:
    """The telling lines, those at the end kept where they are more than ``room`` characters."""
    try:
        found = log.stat()
    except OSError:
        return ""
    verdict = result.verdict
    return _lines_as_of((found.st_size, found.st_mtime_ns), log, verdict.outcome, verdict.diagnosis, room)


@lru_cache(maxsize=256)
def _lines_as_of(_: tuple[int, int], log: Path, outcome: Outcome, diagnosis: Diagnosis | None, room: int) -> str:
    """As ``_lines``, of a log of that size and time: to look takes a while, and a served page asks often."""
    if outcome is Outcome.HUNG:
        lines, room = last_lines(log, _MOST_LINES_OF_HUNG), max(room, min(_MOST_OF_HUNG, 5 * room))
    else:
        lines = telling_lines(log, diagnosis, _MOST_LINES)
    lines = [_short(line) for line in lines]
    while len(lines) > 1 and sum(map(len, lines)) + len(lines) > room:
        lines.pop(0)
    return "\n".join(lines)


def _short(line: str) -> str:
    shown = printable(line.partition("\n")[0])
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[:_LONGEST_LINE]}… ({len(shown):,} characters)"


def _link(log: Path, links_from: Path) -> str:
    from urllib.parse import quote

    return quote(os.path.relpath(log, links_from)) if log.is_file() else ""


def _ordered(run: Run) -> list[Result]:
    """The red ones first, then the slowest."""
    fine = [result for result in run.results if not is_red(result)]
    return [*red(run), *sorted(fine, key=lambda result: -_took(result))]


def _took(result: Result) -> float:
    return sum(attempt.duration for attempt in result.attempts)


def _row(run: Run, result: Result, found: Sequence[Slice], anchors: Mapping[str, str]) -> dict[str, Any]:
    outcome = result.verdict.outcome
    tone = " bad" if is_red(result) else " good" if outcome is Outcome.PASSED else " odd"
    waited = sum(one.end - one.start for one in found if one.doing is Doing.WAITING)
    devices = result.attempts[-1].devices if result.attempts else ()
    return {
        "outcome": outcome.value,
        "tone": tone,
        "id": printable(result.test_id),
        "anchor": anchors.get(result.test_id, ""),
        "took": duration(_took(result)) if result.attempts else "",
        "waited": duration(waited) if found else "",
        "devices": printable(", ".join(devices)),
        "bar": Markup(bar(found, run.started_at, max(run.ended_at - run.started_at, 1e-3))),
    }


def _spent(found: Sequence[Slice]) -> list[tuple[str, str]]:
    """Device-time, and what of it was lost."""
    used = spent(found)
    if not used.total:
        return []
    return [
        ("device time", f"{duration(used.held)} of {duration(used.total)} held"),
        ("idle while a test waited", duration(used.idle_wanted)),
        ("attempts that were tried again", duration(used.retried)),
    ]


def _metrics(metrics: Mapping[str, Sequence[Metric]]) -> list[dict[str, str]]:
    rows = []
    for test_id, recorded in metrics.items():
        last = {metric.name: metric for metric in recorded}
        rows += [
            {
                "test": printable(test_id),
                "name": printable(name),
                "value": f"{metric.value:.6g}",
                "step": "" if metric.step is None else str(metric.step),
            }
            for name, metric in sorted(last.items())
        ]
    return rows[:_MOST_METRICS]


def _bands(run: Run) -> list[tuple[str, Drawn]]:
    """The metrics that their history gates, those of red tests first, each with its test."""
    found = (
        (result.test_id, of_judgement(judgement))
        for result in [*red(run), *(one for one in run.results if not is_red(one))]
        for judgement in result.verdict.judgements
    )
    return [(printable(test_id), drawn) for test_id, drawn in islice(found, _MOST_BANDS)]
