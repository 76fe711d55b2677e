"""All runs in SQLite, kept as they happen. The one room that knows SQL.

Each event is written before the next is looked at, so a runner that is killed leaves a history that can be read;
which of its attempts were cut off is then told by rows without an end, and by the lock that died with the runner.
"""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trainci.errors import MachineError
from trainci.history import metric_files
from trainci.history.event_log import is_alive, unwritable
from trainci.model import Event, Metric
from trainci.paths import RunPaths, StatePaths

# Each entry brings the schema from the version of its position to the next; `user_version` counts them.
_MIGRATIONS = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, commit_id TEXT NOT NULL, devices TEXT NOT NULL,
        started REAL NOT NULL, ended REAL, exit_code INTEGER, cut_off INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE attempts (
        run_id TEXT NOT NULL REFERENCES runs (id), test_id TEXT NOT NULL, number INTEGER NOT NULL,
        gpus INTEGER NOT NULL, log TEXT NOT NULL, devices TEXT NOT NULL DEFAULT '[]',
        queued REAL NOT NULL, started REAL, ended REAL,
        exit_code INTEGER, timed_out INTEGER NOT NULL DEFAULT 0, lost TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (run_id, test_id, number)
    ) STRICT;
    CREATE INDEX attempts_of_test ON attempts (test_id, ended);
    CREATE TABLE verdicts (
        run_id TEXT NOT NULL REFERENCES runs (id), test_id TEXT NOT NULL,
        outcome TEXT NOT NULL, sentence TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (run_id, test_id)
    ) STRICT;
    """,
    # A value of NULL is NaN, which SQLite does not hold.
    """
    CREATE TABLE metrics (
        run_id TEXT NOT NULL, test_id TEXT NOT NULL, number INTEGER NOT NULL,
        name TEXT NOT NULL, value REAL, step INTEGER, at REAL NOT NULL,
        FOREIGN KEY (run_id, test_id, number) REFERENCES attempts (run_id, test_id, number)
    ) STRICT;
    CREATE INDEX metrics_of_test ON metrics (test_id, name, run_id);
    """,
    "CREATE INDEX verdicts_of_test ON verdicts (test_id, at)",
)
_REMEMBERED = 20


@dataclass(frozen=True)
class Past:
    """What is known of a test: durations in seconds of passed attempts, and what became of it last."""

    last: float | None = None
    median: float | None = None
    outcome: str = ""


@dataclass(frozen=True)
class CutOff:
    """An attempt that was under way when its runner was killed."""

    run_id: str
    test_id: str
    number: int
    log: str


@dataclass(frozen=True)
class Recorded:
    """The last that a test recorded of a metric, in which run, and the last value of the run before that."""

    last: Metric
    run_id: str
    before: float | None


class History:
    """The runs, attempts and verdicts of a repository.

    :raises MachineError: the database cannot be opened, or a newer trainci wrote it.
    """

    def __init__(self, state: StatePaths) -> None:
        self._state = state
        try:
            state.create()
            self._db = sqlite3.connect(state.history, timeout=30, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._migrate()
        except (sqlite3.Error, OSError) as error:
            raise MachineError(
                f"{state.history}: the history cannot be opened: {error}. Move the file away to begin a new one."
            ) from None

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def listener(self, run_id: str) -> _Recorder:
        """What writes the events of run ``run_id``."""
        return _Recorder(self._db, self._state, run_id)

    def past(self, test_ids: Iterable[str]) -> dict[str, Past]:
        """What is known of each of ``test_ids``; tests without a past are left out."""
        found: dict[str, Past] = {}
        for test_id in test_ids:
            rows = self._db.execute(
                "SELECT ended - started FROM attempts WHERE test_id = ? AND exit_code = 0 AND started IS NOT NULL"
                " AND ended IS NOT NULL ORDER BY ended DESC LIMIT ?",
                (test_id, _REMEMBERED),
            ).fetchall()
            seconds = [float(row[0]) for row in rows]
            outcome = self._last_outcome(test_id)
            if seconds or outcome:
                last = seconds[0] if seconds else None
                found[test_id] = Past(last, statistics.median(seconds) if seconds else None, outcome)
        return found

    def take_cut_off(self) -> list[CutOff]:
        """The attempts of runs whose runner was killed, each told once."""
        found: list[CutOff] = []
        unended = self._db.execute("SELECT id FROM runs WHERE ended IS NULL AND cut_off = 0").fetchall()
        for (run_id,) in unended:
            if is_alive(RunPaths(self._state, run_id)):
                continue
            rows = self._db.execute(
                "SELECT test_id, number, log FROM attempts WHERE run_id = ? AND ended IS NULL ORDER BY queued",
                (run_id,),
            )
            cut_off = [CutOff(run_id, *row) for row in rows]
            for item in cut_off:
                _collect_metrics(self._db, self._state, run_id, item.test_id, item.number)
            found += cut_off
            self._db.execute("UPDATE runs SET cut_off = 1 WHERE id = ?", (run_id,))
        return found

    def recorded(self, test_id: str) -> list[Recorded]:
        """What the test recorded of each metric, by name."""
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
        return outcome or ("running" if is_alive(RunPaths(self._state, run_id)) else "cut off")

    def _migrate(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(_MIGRATIONS):
            self._db.execute("ROLLBACK")
            raise sqlite3.DatabaseError(
                f"a newer trainci wrote it (version {version}, this one knows {len(_MIGRATIONS)})"
            )
        for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
            # Not executescript, which would commit the transaction that guards against a second migrator.
            for statement in script.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {number}")
        self._db.execute("COMMIT")


class _Recorder:
    """Writes the events of one run into the history, each in a transaction of its own.

    :raises MachineError: an event cannot be written.
    """

    def __init__(self, db: sqlite3.Connection, state: StatePaths, run_id: str) -> None:
        self._db = db
        self._state = state
        self._run = run_id

    def __call__(self, event: Event) -> None:
        write = getattr(self, f"_on_{event.kind}", None)
        if write is not None:
            try:
                write(event, event.data)
            except sqlite3.Error as error:
                raise unwritable(self._state.history, error) from None

    def _on_run_started(self, event: Event, data: Any) -> None:
        self._db.execute(
            "INSERT INTO runs (id, commit_id, devices, started) VALUES (?, ?, ?, ?)",
            (self._run, data["commit"], data["devices"], event.at),
        )

    def _on_queued(self, event: Event, data: Any) -> None:
        self._db.execute(
            "INSERT INTO attempts (run_id, test_id, number, gpus, log, queued) VALUES (?, ?, ?, ?, ?, ?)",
            (self._run, event.test_id, event.attempt, data["gpus"], data["log"], event.at),
        )

    def _on_granted(self, event: Event, data: Any) -> None:
        self._update(event, devices=json.dumps(data["devices"]))

    def _on_started(self, event: Event, _data: Any) -> None:
        self._update(event, started=event.at)

    def _on_ended(self, event: Event, data: Any) -> None:
        self._update(
            event,
            ended=event.at,
            exit_code=data["exit_code"],
            timed_out=int(data["timed_out"]),
            lost=data["lost"],
        )
        _collect_metrics(self._db, self._state, self._run, event.test_id, event.attempt)

    def _on_verdict(self, event: Event, data: Any) -> None:
        self._db.execute(
            "INSERT INTO verdicts (run_id, test_id, outcome, sentence, at) VALUES (?, ?, ?, ?, ?)",
            (self._run, event.test_id, data["outcome"], data["sentence"], event.at),
        )

    def _on_run_ended(self, event: Event, data: Any) -> None:
        self._db.execute(
            "UPDATE runs SET ended = ?, exit_code = ? WHERE id = ?", (event.at, data["exit_code"], self._run)
        )

    def _update(self, event: Event, **columns: Any) -> None:
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(
            f"UPDATE attempts SET {assignments} WHERE run_id = ? AND test_id = ? AND number = ?",
            (*columns.values(), self._run, event.test_id, event.attempt),
        )


def _collect_metrics(db: sqlite3.Connection, state: StatePaths, run_id: str, test_id: str, number: int) -> None:
    """Take in what an attempt recorded in its file, once more if that was begun before."""
    attempt = (run_id, test_id, number)
    which = "WHERE run_id = ? AND test_id = ? AND number = ?"
    (log,) = db.execute(f"SELECT log FROM attempts {which}", attempt).fetchone()
    metrics = metric_files.read(RunPaths.metrics(state.root / log))
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(f"DELETE FROM metrics {which}", attempt)
        db.executemany(
            "INSERT INTO metrics (run_id, test_id, number, name, value, step, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((*attempt, metric.name, metric.value, metric.step, metric.at) for metric in metrics),
        )
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _number(value: float | None) -> float:
    return math.nan if value is None else value
