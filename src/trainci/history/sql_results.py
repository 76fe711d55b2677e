"""What the history knows of earlier runs and their results, in tables."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence

from trainci.answers.values import PastResult
from trainci.history.database import Database, answered
from trainci.history.store import PastRun


class SqlResults(Database):
    """A part of a Store, see there."""

    @answered
    def tests(self) -> list[str]:
        """See Store."""
        return [test_id for (test_id,) in self.execute("SELECT DISTINCT test_id FROM verdicts ORDER BY test_id")]

    @answered
    def results(self, test_id: str, most: int) -> list[PastResult]:
        """See Store."""
        return self._results("WHERE test_id = ? ORDER BY at DESC LIMIT ?", (test_id, most))

    @answered
    def results_of_run(self, run_id: str) -> list[PastResult]:
        """See Store."""
        return sorted(self._results("WHERE run_id = ?", (run_id,)), key=lambda result: result.id)

    @answered
    def results_of_runs(self, most: int) -> list[PastResult]:
        """See Store."""
        newest = "SELECT id FROM runs ORDER BY started DESC LIMIT ?"
        return self._results(f"WHERE run_id IN ({newest})", (most,))

    def _results(self, which: str, parameters: Sequence[object]) -> list[PastResult]:
        """What became of the verdicts ``which``, the newest first."""
        rows = self.execute(
            "SELECT v.test_id, v.run_id, r.commit_id, r.host, v.at, v.outcome, v.sentence, a.number, a.devices,"
            f" a.ended - a.started FROM (SELECT * FROM verdicts {which}) AS v JOIN runs r ON r.id = v.run_id"
            " LEFT JOIN attempts a ON a.run_id = v.run_id AND a.test_id = v.test_id"
            " ORDER BY v.at DESC, v.run_id, v.test_id, a.number",
            parameters,
        )
        found: dict[tuple[str, str], PastResult] = {}
        for test_id, run, commit, host, at, outcome, said, number, devices, took in rows:
            # Of its attempts, each has a row; the last one says where it ran and how long it took.
            before = found.get((run, test_id))
            tries = (before.attempts if before else 0) + int(number is not None)
            found[run, test_id] = PastResult(
                test_id, run, commit, host, at, outcome, said, tries, device_list(devices or "[]"), took
            )
        return list(found.values())

    @answered
    def runs(self, most: int, before: float) -> list[PastRun]:
        """See Store."""
        return self._runs("WHERE started < ? ORDER BY started DESC LIMIT ?", (before, most))

    @answered
    def run(self, run_id: str) -> PastRun | None:
        """See Store."""
        return next(iter(self._runs("WHERE id = ?", (run_id,))), None)

    def _runs(self, which: str, parameters: Sequence[object]) -> list[PastRun]:
        rows = self.execute(
            f"SELECT id, commit_id, host, devices, started, ended, exit_code, cut_off FROM runs {which}", parameters
        )
        outcomes = self._outcomes([row[0] for row in rows])
        return [
            PastRun(run, commit, host, devices, started, ended, code, bool(cut), outcomes[run])
            for run, commit, host, devices, started, ended, code, cut in rows
        ]

    def _outcomes(self, run_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {run_id: {} for run_id in run_ids}
        if not found:
            return found
        rows = self.execute(
            f"SELECT run_id, outcome, count(*) FROM verdicts WHERE run_id IN ({', '.join('?' for _ in run_ids)})"
            " GROUP BY run_id, outcome",
            run_ids,
        )
        for run_id, outcome, count in rows:
            found[run_id][outcome] = count
        return found


@functools.lru_cache(maxsize=1024)
def device_list(listed: str) -> tuple[str, ...]:
    """The names in a JSON array, none if it is no such array; many attempts have the same."""
    try:
        found = json.loads(listed)
    except (ValueError, RecursionError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()
