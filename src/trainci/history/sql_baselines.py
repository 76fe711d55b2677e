"""What the history knows of metrics that are gated, in tables."""

from __future__ import annotations

import math

from trainci.history.database import Database, answered
from trainci.model.gates import Decision, Measurement
from trainci.model.run import Cause


class SqlBaselines(Database):
    """A part of a Store, see there."""

    @answered
    def measurements(self, test_id: str, metric: str, step: int | None, most: int) -> list[Measurement]:
        """See Store."""
        at_step = "" if step is None else "AND step = ?"
        rows = self.execute(
            "SELECT m.run_id, r.commit_id, r.started, m.number, m.value, m.step, a.kind, a.image, r.on_base,"
            " v.outcome FROM metrics m JOIN runs r ON r.id = m.run_id"
            " JOIN attempts a ON a.run_id = m.run_id AND a.test_id = m.test_id AND a.number = m.number"
            " LEFT JOIN verdicts v ON v.run_id = m.run_id AND v.test_id = m.test_id"
            " WHERE a.cause = ? AND a.exit_code = 0 AND m.rowid IN"
            " (SELECT max(rowid) FROM metrics WHERE test_id = ? AND name = ? AND run_id IN"
            "  (SELECT run_id FROM attempts WHERE test_id = ? AND ended IS NOT NULL ORDER BY ended DESC LIMIT ?)"
            f" {at_step} GROUP BY run_id, number)"
            " ORDER BY r.started DESC, m.number DESC LIMIT ?",
            (Cause.EXITED.value, test_id, metric, test_id, most, *(() if step is None else (step,)), most),
        )
        return [
            Measurement(run, commit, at, number, _number(value), found, kind, image, bool(on_base), outcome or "")
            for run, commit, at, number, value, found, kind, image, on_base, outcome in rows
        ]

    @answered
    def keep_decision(self, decision: Decision) -> None:
        """See Store."""
        self.execute(
            "INSERT INTO baselines (test_id, metric, run_id, who, reason, at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (decision.test_id, decision.metric, decision.run, decision.who, decision.reason, decision.at),
        )

    @answered
    def decisions(self, test_id: str) -> list[Decision]:
        """See Store."""
        rows = self.execute(
            "SELECT test_id, metric, run_id, who, reason, at FROM baselines WHERE test_id = ? ORDER BY at DESC",
            (test_id,),
        )
        return [Decision(*row) for row in rows]


def _number(value: float | None) -> float | None:
    """``value``, None for NaN, which not every database holds."""
    return None if value is None or math.isnan(value) else value
