"""What each page shows: looked up when it is asked for, a run from where the last look at it ended."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from markupsafe import Markup

from trainci.answers.gpus import Status
from trainci.answers.values import PastResult
from trainci.errors import TrainciError, UsageError
from trainci.history import existing_store
from trainci.history.baselines import every_gate, series_of
from trainci.history.event_log import is_alive
from trainci.history.samples import SAMPLES
from trainci.history.store import PastRun
from trainci.history.summary import summary
from trainci.lease.store.ledger import Entry
from trainci.model.gates import Gate
from trainci.model.project import Quarantined
from trainci.paths import EVENTS, StatePaths
from trainci.reports.bands import of_series
from trainci.reports.page import shown
from trainci.reports.reason import red
from trainci.serve import logs
from trainci.serve.chart import durations
from trainci.serve.following import Followed, Seen
from trainci.serve.grid import NO_SUITE, Grid, by_suite, by_test
from trainci.serve.made import stamp_of

_RUNS = 50
_RESULTS = 100
# The grid, and the slowest and flakiest tests, are of so many runs, and of fewer where these have more results.
_LOOKED_BACK = 30
_MOST_RESULTS = 10_000
_MOST_ROWS = 200
_MOST_LISTED = 25
_MOST_ENTRIES = 100
_MOST_CHARTS = 6
_SOUND = ("free", "held")
_MOST_GOING_ON = 20
# Of a run that goes on so many tests are listed, the red ones, then the slowest: its page is made again and again.
_MOST_TESTS = 100
# A run's id is the name of its folder; what was entered from elsewhere may be called anything, and has none.
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
_LOG = re.compile(r"[A-Za-z0-9._-]{1,200}\.log")

Context = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """What pages are made of: a repository's state, the ids of each suite's tests, and tests in ``quarantine``.

    ``devices`` are asked as of now; ``ledger`` is what was done to them by hand, the newest last. ``gates`` are
    those that a test declares for its metrics.
    """

    state: StatePaths
    suites: Mapping[str, tuple[str, ...]]
    devices: Callable[[], Status]
    ledger: Callable[[], Sequence[Entry]] = tuple
    quarantine: Sequence[Quarantined] = ()
    gates: Mapping[str, Sequence[Gate]] = field(default_factory=dict)
    followed: Followed = field(default_factory=Followed)


class NotThere(UsageError):
    """There is nothing of that name."""


def now(source: Source) -> Context:
    """What runs, who holds which device, and who waits."""
    status, fault = _devices(source)
    with existing_store(source.state) as history:
        begun = history.unended_runs()[-_MOST_GOING_ON:] if history else []
    alive = [run for run in reversed(begun) if _is_alive(source, run)]
    going = [(run, source.followed.of(source.state.runs / run).going()) for run in alive]
    return {"live": True, "runs": going, "status": status, "fault": fault}


def health(source: Source) -> Context:
    """Which devices are not handed out and why, what was done to them by hand, and the tests in quarantine."""
    status, fault = _devices(source)
    entries = [] if fault else source.ledger()
    return {
        "live": True,
        "devices": [device for device in status.devices if device.state not in _SOUND],
        "sound": sum(device.state in _SOUND for device in status.devices),
        "fault": fault,
        "ledger": entries[::-1][:_MOST_ENTRIES],
        "quarantine": source.quarantine,
        "today": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _devices(source: Source) -> tuple[Status, str]:
    """The devices, or why nobody knows."""
    try:
        return source.devices(), ""
    except TrainciError as error:
        return Status((), ()), str(error)


def runs(source: Source, before: float) -> Context:
    """The last runs that began before a time."""
    with existing_store(source.state) as history:
        found = history.runs(_RUNS, before) if history else []
    return {"runs": found, "older": found[-1].started_at if len(found) == _RUNS else None}


def run(source: Source, run_id: str) -> Context:
    """One run: as its report shows it, and what goes on while it does; from the history where its files are gone.

    :raises NotThere: nobody knows of it.
    """
    folder = _kept(source, run_id)
    if folder is not None:
        return {**_report(source.followed.of(folder).look()), "kept": True}
    with existing_store(source.state) as history:
        known = history.run(run_id) if history else None
        if history is None or known is None:
            raise NotThere("There is no such run.")
        return {"kept": False, "live": False, "known": known, "results": history.results_of_run(run_id)}


def _kept(source: Source, run_id: str) -> Path | None:
    """The folder of a run whose files are here."""
    folder = _folder(source, run_id)
    return folder if folder and (folder / EVENTS).is_file() else None


def _folder(source: Source, run_id: str) -> Path | None:
    """Where the files of a run are, if any; a link to elsewhere is no run of ours, whoever has put it there."""
    folder = source.state.runs / run_id
    return folder if _FOLDER.fullmatch(run_id) and not folder.is_symlink() else None


def test(source: Source, test_id: str) -> Context:
    """One test's past.

    :raises NotThere: it has none.
    """
    with existing_store(source.state) as history:
        results = history.results(test_id, _RESULTS) if history else []
        if history is None or not results:
            raise NotThere("Nothing is known of such a test.")
        recorded = history.recorded(test_id)
        gates = every_gate(source.gates.get(test_id, ()), recorded)
        found = series_of(history, test_id, gates[:_MOST_CHARTS])
    return {
        "id": test_id,
        "summary": summary(test_id, results),
        "results": results,
        "chart": Markup(durations(results)),
        "metrics": recorded,
        "bands": [of_series(one) for one in found[:_MOST_CHARTS]],
    }


def tests(source: Source) -> Context:
    """The slowest and the flakiest tests of the last runs."""
    of_runs, results = _last_runs(source)
    of_test: dict[str, list[PastResult]] = {}
    for result in results:
        of_test.setdefault(result.id, []).append(result)
    found = [summary(test_id, its) for test_id, its in of_test.items()]
    slowest = sorted((one for one in found if one.median is not None), key=lambda one: -(one.median or 0))
    flakiest = sorted((one for one in found if one.flaky), key=lambda one: -one.flaky)
    tables = {"Slowest": slowest[:_MOST_LISTED], "Flakiest": flakiest[:_MOST_LISTED]}
    return {"tables": tables, "looked_back": len(of_runs)}


def grid(source: Source, suite: str) -> Context:
    """Suites by commits; the tests of ``suite`` by commits where one is named.

    :raises NotThere: there is no such suite.
    """
    of_runs, results = _last_runs(source)
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


def _last_runs(source: Source) -> tuple[list[PastRun], list[PastResult]]:
    """The last runs, at least one if there is any, and what became of each test in them, the newest first."""
    with existing_store(source.state) as history:
        if history is None:
            return [], []
        found = history.runs(_LOOKED_BACK, float("inf"))
        known = itertools.accumulate(sum(run.outcomes.values()) for run in found)
        many = sum(count <= _MOST_RESULTS for count in known) or 1
        return found[:many], history.results_of_runs(many)


def history_stamp(source: Source) -> Hashable | None:
    """What says whether the history is as it was; None where nobody can tell, as of one that hosts share."""
    if source.state.url:
        return None
    file = source.state.history
    return stamp_of(file, file.with_name(f"{file.name}-wal"))


def run_stamp(source: Source, run_id: str) -> Hashable | None:
    """What says whether ``run`` shows what it showed."""
    folder = _kept(source, run_id)
    if folder is None:
        return history_stamp(source)
    files = stamp_of(folder, folder / EVENTS, folder / SAMPLES)
    return files and (files, _is_alive(source, run_id))


def log_stamp(source: Source, run_id: str, name: str) -> Hashable | None:
    """What says whether ``log`` shows what it showed."""
    try:
        file, _ = log_file(source, run_id, name)
    except NotThere:
        return None
    stamp = stamp_of(file)
    return stamp and (stamp, _is_alive(source, run_id))


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
    folder = _folder(source, run_id)
    file = folder / name if folder and _LOG.fullmatch(name) else None
    size = logs.size_of(file) if file else None
    if file is None or size is None:
        raise NotThere("There is no such log; `keep` in trainci.toml says how long one is kept.")
    return file, size


def _report(seen: Seen) -> Context:
    run = seen.run
    context = shown(
        run,
        seen.slices,
        seen.root,
        seen.metrics,
        lambda file: log_link(run.id, file.name) if file.is_file() else "",
        seen.samples,
        _MOST_TESTS if seen.alive else None,
    )
    context |= {"live": seen.alive, "going": seen.going}
    if seen.alive:
        headline = f"{seen.going.done} of {seen.going.planned} tests are done"
        context["title"] = f"{headline}, {len(red(run))} red" if red(run) else headline
    return context


def _is_alive(source: Source, run_id: str) -> bool:
    folder = _folder(source, run_id)
    return folder is not None and is_alive(folder / EVENTS)


def log_link(run_id: str, name: str) -> str:
    """The address of the page of a log."""
    return f"/log?{query({'run': run_id, 'name': name})}"


def query(asked: Mapping[str, str]) -> str:
    """What follows the question mark of an address, whatever bytes a name has."""
    return "&".join(f"{name}={_quoted(text)}" for name, text in asked.items())


# A page names the same runs and tests again and again.
@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    return quote_plus(text, errors="surrogateescape")
