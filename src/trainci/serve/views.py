"""What each page shows: looked up when it is asked for, and never kept."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from trainci.answers.gpus import Status
from trainci.answers.values import PastResult
from trainci.errors import TrainciError, UsageError
from trainci.history import existing_store
from trainci.history.event_log import is_alive, read_events
from trainci.history.runs import Told, metrics_of, read_run
from trainci.history.samples import read_samples
from trainci.history.summary import summary
from trainci.model import events
from trainci.paths import EVENTS, StatePaths
from trainci.reports.page import shown
from trainci.reports.reason import red
from trainci.reports.timeline import Doing, going_on, slices
from trainci.serve import logs
from trainci.serve.chart import durations
from trainci.serve.grid import NO_SUITE, Grid, by_suite, by_test

_RUNS = 50
_RESULTS = 100
# The grid, and the slowest and flakiest tests, are of so many runs.
_LOOKED_BACK = 30
_MOST_ROWS = 200
_MOST_LISTED = 25
_MOST_GOING_ON = 20
# A run's id is the name of its folder; what was entered from elsewhere may be called anything, and has none.
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
_LOG = re.compile(r"[A-Za-z0-9._-]{1,200}\.log")

Context = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """What pages are made of: a repository's state, the ids of each suite's tests, and the devices as of now."""

    state: StatePaths
    suites: Mapping[str, tuple[str, ...]]
    devices: Callable[[], Status]


class NotThere(UsageError):
    """There is nothing of that name."""


def now(source: Source) -> Context:
    """What runs, who holds which device, and who waits."""
    fault = ""
    try:
        status = source.devices()
    except TrainciError as error:
        status, fault = Status((), ()), str(error)
    with existing_store(source.state) as history:
        begun = history.unended_runs()[-_MOST_GOING_ON:] if history else []
    going = [_going_on(source.state.runs / run) for run in reversed(begun) if _is_alive(source, run)]
    return {"live": True, "runs": going, "status": status, "fault": fault, "now": time.time()}


def runs(source: Source, before: float) -> Context:
    """The last runs that began before a time."""
    with existing_store(source.state) as history:
        found = history.runs(_RUNS, before) if history else []
    return {"runs": found, "older": found[-1].started_at if len(found) == _RUNS else None}


def run(source: Source, run_id: str) -> Context:
    """One run: as its report shows it, and what goes on while it does; from the history where its files are gone.

    :raises NotThere: nobody knows of it.
    """
    folder = source.state.runs / run_id
    if _FOLDER.fullmatch(run_id) and (folder / EVENTS).is_file():
        return {**_report(read_run(folder)), "kept": True}
    with existing_store(source.state) as history:
        known = history.run(run_id) if history else None
        if history is None or known is None:
            raise NotThere("There is no such run.")
        return {"kept": False, "live": False, "known": known, "results": history.results_of_run(run_id)}


def test(source: Source, test_id: str) -> Context:
    """One test's past.

    :raises NotThere: it has none.
    """
    with existing_store(source.state) as history:
        results = history.results(test_id, _RESULTS) if history else []
        if history is None or not results:
            raise NotThere("Nothing is known of such a test.")
        recorded = history.recorded(test_id)
    return {
        "id": test_id,
        "summary": summary(test_id, results),
        "results": results,
        "chart": Markup(durations(results)),
        "metrics": recorded,
    }


def tests(source: Source) -> Context:
    """The slowest and the flakiest tests of the last runs."""
    with existing_store(source.state) as history:
        results = history.results_of_runs(_LOOKED_BACK) if history else []
    of_test: dict[str, list[PastResult]] = {}
    for result in results:
        of_test.setdefault(result.id, []).append(result)
    found = [summary(test_id, its) for test_id, its in of_test.items()]
    slowest = sorted((one for one in found if one.median is not None), key=lambda one: -(one.median or 0))
    flakiest = sorted((one for one in found if one.flaky), key=lambda one: -one.flaky)
    tables = {"Slowest": slowest[:_MOST_LISTED], "Flakiest": flakiest[:_MOST_LISTED]}
    return {"tables": tables, "looked_back": _LOOKED_BACK}


def grid(source: Source, suite: str) -> Context:
    """Suites by commits; the tests of ``suite`` by commits where one is named.

    :raises NotThere: there is no such suite.
    """
    with existing_store(source.state) as history:
        of_runs = history.runs(_LOOKED_BACK, float("inf")) if history else []
        results = history.results_of_runs(_LOOKED_BACK) if history else []
    if not suite:
        found = by_suite(results, of_runs, source.suites)
    elif suite == NO_SUITE:
        named = {test_id for its in source.suites.values() for test_id in its}
        found = by_test([result for result in results if result.id not in named], of_runs, None)
    elif suite in source.suites:
        found = by_test(results, of_runs, source.suites[suite])
    else:
        raise NotThere("There is no such suite.")
    left = len(found.rows) - _MOST_ROWS
    return {"suite": suite, "grid": Grid(found.commits, found.rows[:_MOST_ROWS]), "left": max(0, left)}


def log(source: Source, run_id: str, name: str, start: int | None) -> Context:
    """A part of a log, its end where no ``start`` is given.

    :raises NotThere: there is no such log.
    """
    # Asked first: what is written before the runner ends is shown, or the page is renewed once more.
    live = start is None and _is_alive(source, run_id)
    file, size = log_file(source, run_id, name)
    found = logs.part(file, size, start)
    back = max(0, found.start - logs.SHOWN) if found.start else None
    return {"run_id": run_id, "name": name, "part": found, "live": live, "back": back}


def log_file(source: Source, run_id: str, name: str) -> tuple[Path, int]:
    """Where a log is, which lies in its run's own folder whatever it is called, and its size.

    :raises NotThere: it is not there.
    """
    file = source.state.runs / run_id / name
    size = logs.size_of(file) if _FOLDER.fullmatch(run_id) and _LOG.fullmatch(name) else None
    if size is None:
        raise NotThere("There is no such log; `keep` in trainci.toml says how long one is kept.")
    return file, size


def _report(told: Told) -> Context:
    concluded = {event.test_id for event in told.events if isinstance(event, events.Concluded)}
    whole = told.run
    done = replace(whole, results=tuple(result for result in whole.results if result.test_id in concluded))
    context = shown(
        done if told.alive else whole,
        slices(told.events),
        told.root,
        metrics_of(told),
        lambda file: log_link(whole.id, file.name) if file.is_file() else "",
        tuple(read_samples(told.folder)),
    )
    context["live"] = told.alive
    if told.alive:
        headline = f"{len(done.results)} of {len(whole.results)} tests are done"
        context["title"] = f"{headline}, {len(red(done))} red" if red(done) else headline
        context["going"] = _going(told.events)
    return context


def _going_on(folder: Path) -> Context:
    told = tuple(read_events(folder / EVENTS))
    planned = sum(len(event.tests) for event in told if isinstance(event, events.RunStarted))
    done = sum(isinstance(event, events.Concluded) for event in told)
    return {"id": folder.name, "planned": planned, "done": done, "going": _going(told)}


def _going(told: tuple[events.Control, ...]) -> Context:
    names = {event.test_id: Path(event.log).name for event in told if isinstance(event, events.Queued)}
    found = going_on(told)
    return {
        "running": [(one, names.get(one.test_id, "")) for one in found if one.doing is not Doing.WAITING],
        "waiting": sum(one.doing is Doing.WAITING for one in found),
    }


def _is_alive(source: Source, run_id: str) -> bool:
    return bool(_FOLDER.fullmatch(run_id)) and is_alive(source.state.runs / run_id / EVENTS)


def log_link(run_id: str, name: str) -> str:
    """The address of the page of a log."""
    return f"/log?{query({'run': run_id, 'name': name})}"


def query(asked: Mapping[str, str]) -> str:
    """What follows the question mark of an address, whatever bytes a name has."""
    return urlencode(asked, errors="surrogateescape")
