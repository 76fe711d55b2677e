"""The tables of the history, as SQLite takes them, and the same in PostgreSQL's words."""

from __future__ import annotations

# SQLite's words for a type, and this database's.
_TYPES = {"REAL": "DOUBLE PRECISION", "INTEGER": "BIGINT", ") STRICT": ")"}
# Each entry brings the schema from the version of its position to the next; `user_version` counts them.
MIGRATIONS = (
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
    # How an attempt ended becomes one Ending: `exit_code` was negative for a signal, NULL where nothing had begun.
    """
    ALTER TABLE attempts ADD COLUMN phase TEXT NOT NULL DEFAULT 'both';
    ALTER TABLE attempts ADD COLUMN cause TEXT;
    ALTER TABLE attempts ADD COLUMN signal INTEGER;
    ALTER TABLE attempts ADD COLUMN detail TEXT NOT NULL DEFAULT '';
    UPDATE attempts SET
        cause = CASE
            WHEN timed_out <> 0 THEN 'timed out' WHEN lost <> '' THEN 'lost'
            WHEN exit_code IS NULL THEN 'interrupted'
            WHEN exit_code < 0 THEN 'signalled' ELSE 'exited'
        END,
        exit_code = CASE WHEN exit_code >= 0 THEN exit_code END,
        signal = CASE WHEN exit_code < 0 THEN -exit_code END,
        detail = lost
    WHERE ended IS NOT NULL;
    ALTER TABLE attempts DROP COLUMN timed_out;
    ALTER TABLE attempts DROP COLUMN lost
    """,
    "ALTER TABLE runs ADD COLUMN host TEXT NOT NULL DEFAULT ''",
    # Whether an attempt speaks against its devices (1) or for them (0).
    "ALTER TABLE attempts ADD COLUMN against_devices INTEGER",
    # Which series a metric belongs to, and what somebody said of its baseline: no `run_id` is a new beginning.
    """
    ALTER TABLE runs ADD COLUMN on_base INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE attempts ADD COLUMN kind TEXT NOT NULL DEFAULT '';
    ALTER TABLE attempts ADD COLUMN image TEXT NOT NULL DEFAULT '';
    CREATE TABLE baselines (
        test_id TEXT NOT NULL, metric TEXT NOT NULL, run_id TEXT NOT NULL,
        who TEXT NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (test_id, metric, at)
    ) STRICT
    """,
    # The newest runs, and those that have not ended, without a look at all others.
    """
    CREATE INDEX runs_by_start ON runs (started);
    CREATE INDEX runs_not_ended ON runs (started) WHERE ended IS NULL
    """,
)


def in_postgres(script: str) -> str:
    """A migration as PostgreSQL takes it. The order of rows, which SQLite keeps by itself, is a column."""
    for ours, its in _TYPES.items():
        script = script.replace(ours, its)
    return script.replace("TABLE metrics (", "TABLE metrics (rowid BIGINT GENERATED ALWAYS AS IDENTITY,")
