"""All runs in SQLite, kept as they happen. The one room that knows SQL.

A runner that is killed leaves a history that can be read; rows without an end tell which of its attempts were cut
off.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import re
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from trainci.history.event_log import is_alive
from trainci.history.schema import MIGRATIONS
from trainci.history.store import AttemptKey, CutOff, Past, PastResult, Recorded, StoreBroken, StoreBusy, StoreError
from trainci.model.run import Cause, Ending, Metric, Phase, Verdict
from trainci.paths import RunPaths, StatePaths
from trainci.verdict.suspects import Used

_REMEMBERED = 20
# How many seconds to wait for another process, which has no business there for longer than a moment.
_PATIENCE = 1.0
# What SQLite says of a file that it cannot make sense of (before Python 3.11 there are no codes).
_BROKEN = re.compile("malformed|not a database|no such (?:table|column)|datatype mismatch|decode to UTF-8")
_WHICH = "WHERE run_id = ? AND test_id = ? AND number = ?"

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _answered(
    method: Callable[Concatenate[SqliteStore, _P], _T],
) -> Callable[Concatenate[SqliteStore, _P], _T]:
    """``method``, with SQLite's errors as a Store raises them."""

    @functools.wraps(method)
    def answer(store: SqliteStore, /, *arguments: _P.args, **named: _P.kwargs) -> _T:
        try:
            return method(store, *arguments, **named)
        except (sqlite3.Error, OverflowError) as error:
            raise _store_error(store.file, store.identity, error) from None
        except (TypeError, ValueError) as error:
            # Its columns hold what this schema does not let in.
            raise StoreBroken(str(store.file), f"malformed: {error}", store.identity) from None

    return answer


def _store_error(file: Path, identity: tuple[int, int], error: Exception) -> StoreError:
    reason = str(error)
    if _BROKEN.search(reason):
        return StoreBroken(str(file), reason, identity)
    return (StoreBusy if "locked" in reason or "busy" in reason else StoreError)(str(file), reason)


def _identity(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def move_away(file: Path, identity: tuple[int, int], now: str) -> Path:
    """Rename a database that was found broken, with what belongs to it; nothing if another is there by now.

    :raises OSError: it cannot be renamed.
    """
    target = file.with_name(f"{file.name}.broken-{now}")
    if _identity(file) == identity:
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{file}{suffix}").rename(f"{target}{suffix}")
        file.rename(target)
    return target


def sqlite_store(state: StatePaths) -> SqliteStore:
    """The history in the repository's own state directory, which is made if there is none yet.

    :raises StoreError: the database cannot be opened, or a newer trainci wrote it.
    """
    identity = _identity(state.history)
    try:
        state.create()
        return SqliteStore(state.history, lambda run_id: is_alive(RunPaths(state, run_id).events))
    except (sqlite3.Error, OSError) as error:
        raise _store_error(state.history, identity, error) from None


class SqliteStore:
    """A Store in one file, see there. ``alive`` says whether the runner of a run that has not ended lives.

    :raises sqlite3.Error: the database cannot be opened, or a newer trainci wrote it.
    """

    def __init__(self, file: Path, alive: Callable[[str], bool]) -> None:
        self.file = file
        self._alive = alive
        self._db = sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)
        self._write_ahead()
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._migrate()
        self.identity = _identity(file)

    def close(self) -> None:
        """See Store."""
        self._db.close()

    @_answered
    def begin_run(self, run_id: str, commit: str, devices: str, at: float, host: str = "") -> None:
        """See Store."""
        self._db.execute(
            "INSERT OR IGNORE INTO runs (id, commit_id, devices, started, host) VALUES (?, ?, ?, ?, ?)",
            (run_id, commit, devices, at, host),
        )

    @_answered
    def end_run(self, run_id: str, exit_code: int, at: float) -> None:
        """See Store."""
        self._db.execute("UPDATE runs SET ended = ?, exit_code = ? WHERE id = ?", (at, exit_code, run_id))

    @_answered
    def begin_attempt(self, attempt: AttemptKey, gpus: int, log: str, at: float) -> None:
        """See Store."""
        self._db.execute(
            "INSERT OR IGNORE INTO attempts (run_id, test_id, number, gpus, log, queued) VALUES (?, ?, ?, ?, ?, ?)",
            (*attempt, gpus, log, at),
        )

    @_answered
    def set_devices(self, attempt: AttemptKey, devices: tuple[str, ...]) -> None:
        """See Store."""
        self._db.execute(f"UPDATE attempts SET devices = ? {_WHICH}", (json.dumps(devices), *attempt))

    @_answered
    def set_started(self, attempt: AttemptKey, at: float) -> None:
        """See Store."""
        self._db.execute(f"UPDATE attempts SET started = ? {_WHICH}", (at, *attempt))

    @_answered
    def end_attempt(
        self, attempt: AttemptKey, phase: Phase, ending: Ending, at: float, against_devices: bool | None = None
    ) -> None:
        """See Store."""
        how = (ending.cause.value, ending.exit_code, ending.signal, ending.detail, against_devices)
        self._db.execute(
            "UPDATE attempts SET ended = ?, phase = ?, cause = ?, exit_code = ?, signal = ?, detail = ?,"
            f" against_devices = ? {_WHICH}",
            (at, phase.value, *how, *attempt),
        )

    @_answered
    def used_devices(self, host: str, count: int) -> list[Used]:
        """See Store."""
        rows = self._db.execute(
            "SELECT test_id, attempts.devices, against_devices, attempts.ended FROM attempts"
            " JOIN runs ON runs.id = run_id WHERE host = ? AND against_devices IS NOT NULL"
            " AND attempts.devices <> '[]' ORDER BY attempts.ended DESC LIMIT ?",
            (host, count),
        ).fetchall()
        return [Used(test_id, tuple(json.loads(devices)), bool(bad), at) for test_id, devices, bad, at in rows]

    @_answered
    def keep_metrics(self, attempt: AttemptKey, metrics: Iterable[Metric]) -> None:
        """See Store."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute(f"DELETE FROM metrics {_WHICH}", attempt)
            self._db.executemany(
                "INSERT INTO metrics (run_id, test_id, number, name, value, step, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                ((*attempt, metric.name, metric.value, metric.step, metric.at) for metric in metrics),
            )
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @_answered
    def keep_verdict(self, run_id: str, test_id: str, verdict: Verdict, at: float) -> None:
        """See Store."""
        self._db.execute(
            "INSERT OR REPLACE INTO verdicts (run_id, test_id, outcome, sentence, at) VALUES (?, ?, ?, ?, ?)",
            (run_id, test_id, verdict.outcome.value, verdict.sentence, at),
        )

    @_answered
    def past(self, test_ids: Iterable[str]) -> dict[str, Past]:
        """See Store."""
        found: dict[str, Past] = {}
        for test_id in test_ids:
            rows = self._db.execute(
                "SELECT ended - started FROM attempts WHERE test_id = ? AND cause = ? AND exit_code = 0"
                " AND started IS NOT NULL ORDER BY ended DESC LIMIT ?",
                (test_id, Cause.EXITED.value, _REMEMBERED),
            ).fetchall()
            seconds = [float(row[0]) for row in rows]
            outcome = self._last_outcome(test_id)
            if seconds or outcome:
                last = seconds[0] if seconds else None
                found[test_id] = Past(last, statistics.median(seconds) if seconds else None, outcome)
        return found

    @_answered
    def recorded(self, test_id: str) -> list[Recorded]:
        """See Store."""
        # In SQLite, columns beside max() are those of the row that has the maximum.
        rows = self._db.execute(
            "SELECT name, value, step, at, run_id, max(rowid) FROM metrics WHERE test_id = ?"
            " GROUP BY name, run_id ORDER BY name, max(rowid) DESC",
            (test_id,),
        ).fetchall()
        found = []
        for _, group in itertools.groupby(rows, key=lambda row: row[0]):
            (name, value, step, at, run_id, _), *earlier = group
            before = _number(earlier[0][1]) if earlier else None
            found.append(Recorded(Metric(name, _number(value), step, at), run_id, before))
        return found

    @_answered
    def tests(self) -> list[str]:
        """See Store."""
        return [
            test_id for (test_id,) in self._db.execute("SELECT DISTINCT test_id FROM verdicts ORDER BY test_id")
        ]

    @_answered
    def results(self, test_id: str, most: int) -> list[PastResult]:
        """See Store."""
        # In SQLite, columns beside max() are those of the row that has the maximum.
        rows = self._db.execute(
            "SELECT v.run_id, r.commit_id, r.host, v.at, v.outcome, v.sentence, count(a.number),"
            " max(a.number), a.devices, a.ended - a.started"
            " FROM (SELECT * FROM verdicts WHERE test_id = ? ORDER BY at DESC LIMIT ?) v"
            " JOIN runs r ON r.id = v.run_id"
            " LEFT JOIN attempts a ON a.run_id = v.run_id AND a.test_id = v.test_id"
            " GROUP BY v.run_id ORDER BY v.at DESC",
            (test_id, most),
        ).fetchall()
        return [
            PastResult(
                test_id, run, commit, host, at, outcome, said, tries, tuple(json.loads(devices or "[]")), took
            )
            for run, commit, host, at, outcome, said, tries, _, devices, took in rows
        ]

    @_answered
    def unknown_runs(self, run_ids: Iterable[str]) -> list[str]:
        """See Store."""
        known = {run_id for (run_id,) in self._db.execute("SELECT id FROM runs")}
        return [run_id for run_id in run_ids if run_id not in known]

    @_answered
    def unended_runs(self) -> list[str]:
        """See Store."""
        rows = self._db.execute("SELECT id FROM runs WHERE ended IS NULL AND cut_off = 0 ORDER BY started")
        return [run_id for (run_id,) in rows]

    @_answered
    def unended_attempts(self, run_id: str) -> list[CutOff]:
        """See Store."""
        rows = self._db.execute(
            "SELECT test_id, number, log FROM attempts WHERE run_id = ? AND ended IS NULL ORDER BY queued",
            (run_id,),
        )
        return [CutOff(AttemptKey(run_id, test_id, number), log) for test_id, number, log in rows]

    @_answered
    def mark_cut_off(self, run_id: str) -> None:
        """See Store."""
        self._db.execute("UPDATE runs SET cut_off = 1 WHERE id = ?", (run_id,))

    def _last_outcome(self, test_id: str) -> str:
        row = self._db.execute(
            # A test that was skipped or refused has a verdict and no attempt.
            "SELECT run_id, outcome FROM (SELECT run_id, test_id, outcome, at FROM verdicts"
            " UNION ALL SELECT run_id, test_id, NULL, queued FROM attempts)"
            " WHERE test_id = ? ORDER BY at DESC LIMIT 1",
            (test_id,),
        ).fetchone()
        if row is None:
            return ""
        run_id, outcome = row
        return outcome or ("running" if self._alive(run_id) else "cut off")

    def _write_ahead(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                # Of all statements, this is the one that SQLite lets fail at once while another process opens.
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def _migrate(self) -> None:
        # To look takes no lock, which another process may hold for long.
        if self._version() == len(MIGRATIONS):
            return
        self._db.execute("BEGIN IMMEDIATE")
        version = self._version()
        if version > len(MIGRATIONS):
            self._db.execute("ROLLBACK")
            raise sqlite3.DatabaseError(
                f"a newer trainci wrote it (version {version}, this one knows {len(MIGRATIONS)})"
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            # Not executescript, which would commit the transaction that guards against a second migrator.
            for statement in script.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {number}")
        self._db.execute("COMMIT")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])


def _number(value: float | None) -> float:
    return math.nan if value is None else value
