"""A run as a Chrome trace, which ui.perfetto.dev and chrome://tracing open: devices and tests are tracks.

Format: "Trace Event Format", https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from trainci.model.look import Sample
from trainci.model.run import Run
from trainci.reports.timeline import Slice, rows_of, waiting_counts

_DEVICES, _TESTS = 1, 2


def trace(run: Run, found: Sequence[Slice], samples: Sequence[Sample] = ()) -> bytes:
    """The trace of ``run``, whose slices are ``found``, with what ``samples`` say of its devices as counters."""
    told = [*_events(run, found), *_counters(run, samples)]
    return json.dumps({"traceEvents": told, "displayTimeUnit": "ms"}).encode()


def _events(run: Run, found: Sequence[Slice]) -> Iterator[dict[str, Any]]:
    outcomes = {result.test_id: result.verdict.outcome.value for result in run.results}
    rows = rows_of(found)
    tests = {name: number for number, name in enumerate(dict.fromkeys(one.test_id for one in found), start=1)}
    yield from _named(_DEVICES, "devices", rows)
    yield from _named(_TESTS, "tests", tests)

    def said_of(one: Slice) -> dict[str, Any]:
        return {"test": one.test_id, "attempt": one.attempt, "verdict": outcomes.get(one.test_id, "")}

    for one in found:
        yield _slice(one.doing.value, one, run, _TESTS, tests[one.test_id], said_of(one))
    for number, held in enumerate(rows.values(), start=1):
        for one in held:
            yield _slice(one.test_id, one, run, _DEVICES, number, said_of(one))
    for at, count in waiting_counts(found):
        place = {"pid": _TESTS, "ts": _microseconds(at - run.started_at)}
        yield {"ph": "C", "name": "tests that wait", **place, "args": {"tests": count}}


def _counters(run: Run, samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    for one in samples:
        said: dict[str, float] = {"memory, GiB": round(one.memory / (1 << 30), 2)}
        said |= {} if one.percent is None else {"busy, %": one.percent}
        for name, value in said.items():
            place = {"pid": _DEVICES, "ts": _microseconds(one.at - run.started_at)}
            yield {"ph": "C", "name": f"{one.device} {name}", **place, "args": {name: value}}


def _named(process: int, title: str, tracks: Iterable[str]) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": process, "args": {"name": title}}
    for number, name in enumerate(tracks, start=1):
        yield {"ph": "M", "name": "thread_name", "pid": process, "tid": number, "args": {"name": name}}
        yield {
            "ph": "M",
            "name": "thread_sort_index",
            "pid": process,
            "tid": number,
            "args": {"sort_index": number},
        }


def _slice(name: str, one: Slice, run: Run, process: int, track: int, said: dict[str, Any]) -> dict[str, Any]:
    start, end = (_microseconds(at - run.started_at) for at in (one.start, one.end))
    return {
        "ph": "X",
        "name": name,
        "cat": one.doing.value,
        "pid": process,
        "tid": track,
        "ts": start,
        # Not that of its own length: rounded, it could reach into the slice that follows.
        "dur": end - start,
        "args": said,
    }


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
