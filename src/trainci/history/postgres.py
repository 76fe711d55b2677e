"""The history of many hosts in PostgreSQL: the same tables, in a schema of their own (``trainci[postgres]``)."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from trainci.errors import UsageError
from trainci.history.event_log import may_live
from trainci.history.schema import MIGRATIONS, in_postgres
from trainci.history.sql import SqlStore, stored
from trainci.history.store import StoreBusy, StoreError
from trainci.paths import StatePaths

try:
    import psycopg
except ModuleNotFoundError:
    raise UsageError("a history in PostgreSQL needs psycopg: pip install 'trainci[postgres]'") from None

# No run waits for a database: what it cannot take now stays in the run's event log until it can.
_CONNECT_S = 3
# A network that stalls ends no answer; the database itself ends what takes it 10 s.
_ANSWER_S = 20.0
# Of each transaction alone: a pooler such as PgBouncer gives the session away with it, and knows no options.
_SETTINGS = b"SELECT set_config('search_path', 'trainci', true), set_config('statement_timeout', '10s', true)"
# A standby takes no word until it is promoted, which may be amid a run.
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)
# Any number that no other program takes for its own advisory lock.
_MIGRATING = 0x7472_6169_6E63_69


def postgres_store(state: StatePaths) -> PostgresStore:
    """The history at the URL of ``state``, which is made if there is none yet.

    :raises StoreError: the database does not answer, or a newer trainci wrote there.
    """
    try:
        return PostgresStore(state.url, state.place, partial(may_live, state))
    except psycopg.Error as error:
        raise _error(state.place, error) from None


def _error(place: str, error: Exception) -> StoreError:
    # What follows is a hint, or where in our own words it is.
    reason = str(error).strip().partition("\n")[0].rstrip(".")
    away = isinstance(error, _AWAY)
    return (StoreBusy if away else StoreError)(place, reason)


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """One that ends where an answer does not come."""

    def wait(self, *waited: Any, **options: Any) -> Any:
        """See psycopg.Connection."""
        timer = threading.Timer(_ANSWER_S, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            return super().wait(*waited, **options)
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)


class PostgresStore(SqlStore):
    """A Store in a database that several hosts share, see there. ``shown`` is its URL without who asks.

    :raises psycopg.Error: it does not answer, or a newer trainci wrote there.
    """

    errors = (psycopg.Error,)

    def __init__(self, url: str, shown: str, alive: Callable[[str], bool]) -> None:
        super().__init__(alive)
        self._shown = shown
        self._db = _Connection.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT_S,
            # They would be left with whoever has the session next.
            prepare_threshold=None,
            application_name="trainci",
        )
        self._migrate()

    def close(self) -> None:
        """See Store."""
        self._db.close()

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """See SqlStore."""
        with self.all_or_nothing():
            done = self._db.execute(_in_its_words(statement), [stored(value) for value in parameters])
            return done.fetchall() if done.description else []

    def execute_all(self, statement: str, rows: Iterable[Sequence[object]]) -> list[list[tuple[Any, ...]]]:
        """See SqlStore. All are sent before an answer is waited for."""
        with self.all_or_nothing(), self._db.cursor() as cursor:
            given = [[stored(value) for value in row] for row in rows]
            cursor.executemany(_in_its_words(statement), given, returning=True)
            return [answer.fetchall() for answer in cursor.results()] if given else []

    def execute_each(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """See SqlStore. All are sent before an answer is waited for."""
        with self.all_or_nothing(), self._db.cursor() as cursor:
            cursor.executemany(_in_its_words(statement), ([stored(value) for value in row] for row in rows))

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """See SqlStore."""
        if self._db.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            yield
            return
        with self._db.transaction():
            self._db.execute(_SETTINGS)
            yield

    def failed(self, error: Exception) -> StoreError:
        """See SqlStore."""
        return _error(self._shown, error)

    def columns(self, table: str) -> list[str]:
        """See SqlStore."""
        found = self.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'trainci' AND table_name = ?"
            " AND column_name <> 'rowid' ORDER BY ordinal_position",
            (table,),
        )
        return [name for (name,) in found]

    def _migrate(self) -> None:
        # Who may only read makes nothing, and need not.
        with self.all_or_nothing():
            if self.execute("SELECT to_regclass('trainci.version')")[0][0] and self._is_current():
                return
            self._db.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATING,))
            self._db.execute("CREATE SCHEMA IF NOT EXISTS trainci")
            self._db.execute("CREATE TABLE IF NOT EXISTS version (number BIGINT NOT NULL)")
            if self._is_current():
                return
            for script in MIGRATIONS[self._version() :]:
                self._db.execute(in_postgres(script).encode())
            self._db.execute("DELETE FROM version")
            self._db.execute("INSERT INTO version VALUES (%s)", (len(MIGRATIONS),))

    def _is_current(self) -> bool:
        version, known = self._version(), len(MIGRATIONS)
        if version > known:
            raise psycopg.DatabaseError(f"a newer trainci wrote it (version {version}, this one knows {known})")
        return version == known

    def _version(self) -> int:
        found = self.execute("SELECT number FROM version")
        return int(found[0][0]) if found else 0


def _in_its_words(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()
