"""Pure: what other tools left of a run, as the events that a run of ours would have told."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from trainci.items import MOST_ITEMS, BrokenResults, item_name, read_junit
from trainci.model import events
from trainci.model.run import Cause, Ending, Item, Outcome, Phase, Verdict
from trainci.text import counted, printable

_COMMIT = re.compile("[0-9a-f]{7,64}")
_LONGEST_TIMESTAMP = 40
# Milliseconds: until the year 4147.
_LARGEST = 1000 * (1 << 36)
_STATUSES = {"passed": "passed", "failed": "failed", "skipped": "skipped", "pending": "skipped", "other": "error"}
_SEVERITY = ("skipped", "passed", "failed", "error")
_OUTCOMES = {
    "passed": Outcome.PASSED,
    "failed": Outcome.FAILED,
    "error": Outcome.FAILED,
    "skipped": Outcome.SKIPPED,
}


class NotForeign(ValueError):
    """The text is neither JUnit XML nor CTRF; the message says why."""


@dataclass(frozen=True)
class Foreign:
    """A run of another tool's: when it began (None where it does not say), of which commit, and its tests.

    ``flaky`` names those that passed only when they were tried again.
    """

    at: float | None
    commit: str
    tests: tuple[Item, ...]
    flaky: frozenset[str] = frozenset()


def read(data: bytes, files: Iterable[str]) -> Foreign:
    """What a JUnit or CTRF file tells, its tests called as they are here: ``files`` are the repository's.

    pytest names a test by its module, and here a file is a test: what several of them tell is told of their file.

    :raises NotForeign: it is neither.
    """
    foreign = _ctrf(data) if data.lstrip()[:1] == b"{" else _junit(data, set(files))
    if not foreign.tests:
        raise NotForeign("it tells of no test")
    return foreign


def _junit(data: bytes, files: set[str]) -> Foreign:
    try:
        report = read_junit(data)
    except BrokenResults as error:
        raise NotForeign(f"no JUnit report: {error}") from None
    named = _named_by(tuple(item for item in report.items if item.name), files)
    tried_again = {_test_of(name, files) for name in report.flaky}
    flaky = frozenset(item.name for item in named if item.outcome == "passed") & tried_again
    return Foreign(_time(report.timestamp), _commit(report.commit), named, flaky)


def told(foreign: Foreign, data: bytes, at: float, commit: str) -> Iterator[events.Control]:
    """The events of the run, which has one name however often the same ``data`` is read.

    ``at`` and ``commit`` stand for what the file does not say.
    """
    begin = foreign.at if foreign.at is not None else at
    run_id = f"import-{hashlib.sha256(data).hexdigest()[:16]}"
    planned = tuple(events.Planned(item.name, 0, "imported") for item in foreign.tests)
    yield events.RunStarted(begin, run_id, foreign.commit or commit, "imported", planned)
    for item in foreign.tests:
        yield from _of_test(item, begin, item.name in foreign.flaky)
    red = any(_OUTCOMES[item.outcome] is Outcome.FAILED for item in foreign.tests)
    yield events.RunEnded(begin + max((item.seconds for item in foreign.tests), default=0.0), int(red))


def _of_test(item: Item, begin: float, flaky: bool) -> Iterator[events.Control]:
    outcome, end = Outcome.FLAKY if flaky else _OUTCOMES[item.outcome], begin + item.seconds
    codes = {Outcome.SKIPPED: (), Outcome.FLAKY: (1, 0), Outcome.PASSED: (0,)}.get(outcome, (1,))
    attempts = len(codes)
    for number, code in enumerate(codes, start=1):
        both = (item.name, number, Phase.BOTH)
        yield events.Queued(begin, item.name, number, "", 0)
        yield events.Started(begin, *both, 0)
        yield events.Ended(begin if number < attempts else end, *both, Ending(Cause.EXITED, code))
    sentence = printable(item.message.partition("\n")[0]) or f"in {item.seconds:.1f} s"
    yield events.Concluded(end, item.name, attempts, Verdict(outcome, sentence))


def _named_by(items: tuple[Item, ...], files: set[str]) -> tuple[Item, ...]:
    """The items by their files' names, those of one file as one; others keep their own."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(_test_of(item.name, files), []).append(item)
    return tuple(_one(name, group) for name, group in groups.items())


def _test_of(name: str, files: set[str]) -> str:
    where, _, own = name.partition("::")
    if own == where or own.startswith(f"{where}["):
        # Ours: a test of trainci's, in the class that is its file.
        return own
    if where.partition("[")[0] in files:
        return where
    parts = where.split(".")
    paths = ("/".join(parts[:end]) + ".py" for end in range(len(parts), 0, -1))
    return next((path for path in paths if path in files), name)


def _one(name: str, group: list[Item]) -> Item:
    # A test of ours with its items: it tells of itself what they add up to.
    own = [item for item in group if item.name.partition("::")[2] == name]
    if own:
        return Item(name, own[0].outcome, own[0].seconds, own[0].message)
    worst = max(group, key=lambda item: _SEVERITY.index(item.outcome))
    said = f"{counted(len(group), 'item')}" + (f": {worst.message}" if worst.message else "")
    return Item(name, worst.outcome, sum(item.seconds for item in group), said if len(group) > 1 else worst.message)


def _ctrf(data: bytes) -> Foreign:
    try:
        results = json.loads(data)["results"]
        tests = results["tests"]
        summary, environment = results.get("summary", {}), results.get("environment", {})
        items = tuple(map(_ctrf_test, tests))
        flaky = frozenset(item.name for item, test in zip(items, tests, strict=True) if test.get("flaky") is True)
        found = _each_once(items)
    except RecursionError:
        raise NotForeign("no CTRF report: nested too deeply") from None
    except KeyError as error:
        raise NotForeign(f"no CTRF report: {error} is missing, or is nothing that CTRF knows") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise NotForeign(f"no CTRF report: {type(error).__name__}: {error}") from None
    start = _number(summary.get("start")) if isinstance(summary, dict) else None
    commit = _commit(environment.get("commit") if isinstance(environment, dict) else None)
    passed = frozenset(item.name for item in found if item.outcome == "passed")
    return Foreign(_known(start / 1000) if start else None, commit, found, flaky & passed)


def _each_once(items: Iterable[Item]) -> tuple[Item, ...]:
    """The items, those of one name as the worst of them.

    :raises ValueError: they are more than anybody reads.
    """
    found: dict[str, Item] = {}
    for item in items:
        known = found.get(item.name)
        if known is None and len(found) >= MOST_ITEMS:
            raise ValueError(f"it holds more than {MOST_ITEMS} tests")
        if known is None or _SEVERITY.index(item.outcome) > _SEVERITY.index(known.outcome):
            found[item.name] = item
    return tuple(found.values())


def _ctrf_test(test: Any) -> Item:
    name, message = test["name"], test.get("message", "")
    if not (isinstance(name, str) and name):
        raise ValueError("a test without a name")
    seconds = (_number(test.get("duration")) or 0.0) / 1000
    said = message if isinstance(message, str) else ""
    return Item(item_name(name), _STATUSES[test["status"]], max(0.0, seconds), said)


def _number(said: object) -> float | None:
    fits = isinstance(said, int | float) and not isinstance(said, bool) and abs(said) < _LARGEST
    return float(said) if fits else None  # type: ignore[arg-type]


def _known(at: float) -> float | None:
    """A Unix time, unless it is of no year in which there were tests."""
    return at if 0 <= at < _LARGEST / 1000 else None


def _commit(said: object) -> str:
    return said if isinstance(said, str) and _COMMIT.fullmatch(said) else ""


def _time(text: str) -> float | None:
    if len(text) > _LONGEST_TIMESTAMP:
        return None
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return _known((at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp())
