"""Every statement of the history, as any database takes it; what differs between two is a backend's."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from trainci.history.database import answered
from trainci.history.sql_baselines import SqlBaselines
from trainci.history.sql_results import SqlResults, device_list
from trainci.history.store import AttemptKey, CutOff, Past, Recorded
from trainci.model.run import NOT_REACHED, Cause, Ending, Metric, Outcome, Phase, Verdict
from trainci.verdict.suspects import Used

_REMEMBERED = 20
_WHICH = "WHERE run_id = ? AND test_id = ? AND number = ?"


class SqlStore(SqlBaselines, SqlResults):
    """A Store in tables, see there. ``alive`` says whether the runner of a run that has not ended lives."""

    def __init__(self, alive: Callable[[str], bool]) -> None:
        self._alive = alive

    @answered
    def begin_run(
        self, run_id: str, commit: str, devices: str, at: float, host: str = "", on_base: bool = False
    ) -> None:
        """See Store."""
        self.execute(
            "INSERT INTO runs (id, commit_id, devices, started, host, on_base) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (run_id, commit, devices, at, host, int(on_base)),
        )

    @answered
    def end_run(self, run_id: str, exit_code: int, at: float) -> None:
        """See Store."""
        self.execute("UPDATE runs SET ended = ?, exit_code = ? WHERE id = ?", (at, exit_code, run_id))

    @answered
    def begin_attempt(self, attempt: AttemptKey, gpus: int, log: str, at: float, image: str = "") -> None:
        """See Store."""
        self.execute(
            "INSERT INTO attempts (run_id, test_id, number, gpus, log, queued, image) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (*attempt, gpus, log, at, image),
        )

    @answered
    def set_devices(self, attempt: AttemptKey, devices: tuple[str, ...], kind: str = "") -> None:
        """See Store."""
        self.execute(f"UPDATE attempts SET devices = ?, kind = ? {_WHICH}", (json.dumps(devices), kind, *attempt))

    @answered
    def set_started(self, attempt: AttemptKey, at: float) -> None:
        """See Store."""
        self.execute(f"UPDATE attempts SET started = ? {_WHICH}", (at, *attempt))

    @answered
    def end_attempt(
        self, attempt: AttemptKey, phase: Phase, ending: Ending, at: float, against_devices: bool | None = None
    ) -> None:
        """See Store."""
        how = (ending.cause.value, ending.exit_code, ending.signal, ending.detail)
        against = None if against_devices is None else int(against_devices)
        self.execute(
            "UPDATE attempts SET ended = ?, phase = ?, cause = ?, exit_code = ?, signal = ?, detail = ?,"
            f" against_devices = ? {_WHICH}",
            (at, phase.value, *how, against, *attempt),
        )

    @answered
    def used_devices(self, host: str, count: int) -> list[Used]:
        """See Store."""
        rows = self._telling("attempts.devices", "host = ?", (host, count))
        return [Used(test_id, device_list(devices), bool(bad), at) for test_id, devices, bad, at in rows]

    @answered
    def used_hosts(self, count: int) -> list[Used]:
        """See Store."""
        rows = self._telling("host", "host <> ''", (count,))
        return [Used(test_id, (host,), bool(bad), at) for test_id, host, bad, at in rows]

    def _telling(self, what: str, which: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        """``what`` of the newest attempts that say something of their devices."""
        return self.execute(
            f"SELECT test_id, {what}, against_devices, attempts.ended FROM attempts"
            f" JOIN runs ON runs.id = run_id WHERE {which} AND against_devices IS NOT NULL"
            " AND attempts.devices <> '[]' ORDER BY attempts.ended DESC LIMIT ?",
            parameters,
        )

    @answered
    def keep_metrics(self, attempt: AttemptKey, metrics: Iterable[Metric]) -> None:
        """See Store."""
        with self.all_or_nothing():
            self.execute(f"DELETE FROM metrics {_WHICH}", attempt)
            self.execute_each(
                "INSERT INTO metrics (run_id, test_id, number, name, value, step, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                ((*attempt, metric.name, metric.value, metric.step, metric.at) for metric in metrics),
            )

    @answered
    def keep_verdict(self, run_id: str, test_id: str, verdict: Verdict, at: float) -> None:
        """See Store."""
        self.execute(
            "INSERT INTO verdicts (run_id, test_id, outcome, sentence, at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (run_id, test_id) DO UPDATE"
            " SET outcome = excluded.outcome, sentence = excluded.sentence, at = excluded.at",
            (run_id, test_id, verdict.outcome.value, verdict.reason, at),
        )

    @answered
    def past(self, test_ids: Iterable[str]) -> dict[str, Past]:
        """See Store."""
        test_ids = list(test_ids)
        durations = self.execute_all(
            "SELECT ended - started FROM attempts WHERE test_id = ? AND cause = ? AND exit_code = 0"
            " AND started IS NOT NULL ORDER BY ended DESC LIMIT ?",
            ((test_id, Cause.EXITED.value, _REMEMBERED) for test_id in test_ids),
        )
        outcomes = self._last_outcomes(test_ids)
        found: dict[str, Past] = {}
        for test_id, rows, outcome in zip(test_ids, durations, outcomes, strict=True):
            seconds = [float(row[0]) for row in rows]
            if seconds or outcome:
                last = seconds[0] if seconds else None
                found[test_id] = Past(last, statistics.median(seconds) if seconds else None, outcome)
        return found

    @answered
    def recorded(self, test_id: str) -> list[Recorded]:
        """See Store."""
        rows = self.execute(
            "SELECT name, value, step, at, run_id FROM metrics WHERE rowid IN"
            " (SELECT max(rowid) FROM metrics WHERE test_id = ? GROUP BY name, run_id) ORDER BY name, rowid DESC",
            (test_id,),
        )
        found = []
        for _, group in itertools.groupby(rows, key=lambda row: row[0]):
            (name, value, step, at, run_id), *earlier = group
            before = _number(earlier[0][1]) if earlier else None
            found.append(Recorded(Metric(name, _number(value), step, at), run_id, before))
        return found

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """See Store."""
        try:
            with self.all_or_nothing():
                yield
        except self.errors as error:
            raise self.failed(error) from None

    @answered
    def unknown_runs(self, run_ids: Iterable[str]) -> list[str]:
        """See Store."""
        known = {run_id for (run_id,) in self.execute("SELECT id FROM runs")}
        return [run_id for run_id in run_ids if run_id not in known]

    @answered
    def unended_runs(self) -> list[str]:
        """See Store."""
        rows = self.execute("SELECT id FROM runs WHERE ended IS NULL AND cut_off = 0 ORDER BY started")
        return [run_id for (run_id,) in rows]

    @answered
    def unended_attempts(self, run_id: str) -> list[CutOff]:
        """See Store."""
        rows = self.execute(
            "SELECT test_id, number, log FROM attempts WHERE run_id = ? AND ended IS NULL ORDER BY queued",
            (run_id,),
        )
        return [CutOff(AttemptKey(run_id, test_id, number), log) for test_id, number, log in rows]

    @answered
    def mark_cut_off(self, run_id: str) -> None:
        """See Store."""
        self.execute("UPDATE runs SET cut_off = 1 WHERE id = ?", (run_id,))

    def _last_outcomes(self, test_ids: Iterable[str]) -> list[str]:
        answers = self.execute_all(
            # A test that was skipped or refused has a verdict and no attempt; of one that was not reached it counts
            # what it was before.
            "SELECT run_id, outcome FROM (SELECT run_id, test_id, outcome, at FROM verdicts"
            " WHERE NOT (outcome = ? AND sentence IN (?, ?))"
            " UNION ALL SELECT run_id, test_id, NULL, queued FROM attempts) AS told"
            " WHERE test_id = ? ORDER BY at DESC LIMIT 1",
            ((Outcome.SKIPPED.value, *NOT_REACHED, test_id) for test_id in test_ids),
        )
        return [self._outcome(*rows[0]) if rows else "" for rows in answers]

    def _outcome(self, run_id: str, outcome: str | None) -> str:
        return outcome or ("running" if self._alive(run_id) else "cut off")

    @answered
    def rows(self, table: str) -> list[dict[str, object]]:
        """See Store."""
        columns = self.columns(table)
        order = "rowid" if table == "metrics" else columns[0]
        found = self.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}")
        return [dict(zip(columns, row, strict=True)) for row in found]

    @answered
    def add_rows(self, table: str, rows: Iterable[dict[str, object]]) -> None:
        """See Store. Metrics, which have no key of their own, are added to attempts that have none."""
        if table == "metrics":
            rows = self._of_attempts_without(rows)
        known = set(self.columns(table))
        with self.all_or_nothing():
            for row in rows:
                names = sorted(known & row.keys())
                into = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})"
                self.execute(f"{into} ON CONFLICT DO NOTHING", [row[name] for name in names])

    def _of_attempts_without(self, rows: Iterable[dict[str, object]]) -> list[dict[str, object]]:
        have = set(self.execute("SELECT DISTINCT run_id, test_id, number FROM metrics"))
        key = ("run_id", "test_id", "number")
        return [row for row in rows if tuple(stored(row.get(name)) for name in key) not in have]


def stored(value: object) -> object:
    """``value`` as every database holds text: without a NUL, and without half a character."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _number(value: float | None) -> float:
    return math.nan if value is None else value
