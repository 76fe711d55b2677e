"""All runs in SQLite, kept as they happen.

A runner that is killed leaves a history that can be read; rows without an end tell which of its attempts were cut
off.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from trainci.history.event_log import may_live
from trainci.history.schema import MIGRATIONS
from trainci.history.sql import SqlStore, stored
from trainci.history.store import StoreBroken, StoreBusy, StoreError, StoreReadOnly
from trainci.host.mounts import mount_of
from trainci.paths import StatePaths

# How many seconds to wait for another process, which has no business there for longer than a moment.
_PATIENCE = 1.0
# What SQLite says of a file that it cannot make sense of (before Python 3.11 there are no codes).
_BROKEN = re.compile("malformed|not a database|no such (?:table|column)|datatype mismatch|decode to UTF-8")


def _store_error(file: Path, identity: tuple[int, int], error: Exception) -> StoreError:
    reason = str(error)
    if _BROKEN.search(reason):
        return StoreBroken(str(file), reason, identity)
    if "readonly" in reason:
        return StoreReadOnly(str(file), reason)
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
        # Beforehand: SQLite gives the files beside it the mode of this one.
        with contextlib.suppress(FileExistsError):
            state.history.touch(exist_ok=False)
            state.share(state.history)
        return SqliteStore(state.history, partial(may_live, state))
    except (sqlite3.Error, OSError) as error:
        raise _store_error(state.history, identity, error) from None


class SqliteStore(SqlStore):
    """A Store in one file, see there. ``alive`` says whether the runner of a run that has not ended lives.

    :raises sqlite3.Error: the database cannot be opened, or a newer trainci wrote it.
    """

    # Of a row that this schema does not let in, SQLite itself says nothing.
    errors = (sqlite3.Error, OverflowError, TypeError, ValueError)

    def __init__(self, file: Path, alive: Callable[[str], bool]) -> None:
        super().__init__(alive)
        self.file = file
        self._db = sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)
        self._choose_journal()
        self._refuse_programs()
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._migrate()
        self.identity = _identity(file)

    def close(self) -> None:
        """See Store."""
        self._db.close()

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """See SqlStore."""
        return self._db.execute(statement, tuple(map(stored, parameters))).fetchall()

    def execute_all(self, statement: str, rows: Iterable[Sequence[object]]) -> list[list[tuple[Any, ...]]]:
        """See SqlStore."""
        return [self.execute(statement, row) for row in rows]

    def execute_each(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """See SqlStore."""
        self._db.executemany(statement, (tuple(map(stored, row)) for row in rows))

    @contextlib.contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """See SqlStore."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def failed(self, error: Exception) -> StoreError:
        """See SqlStore."""
        if isinstance(error, sqlite3.Error | OverflowError):
            return _store_error(self.file, self.identity, error)
        return StoreBroken(str(self.file), f"malformed: {error}", self.identity)

    def columns(self, table: str) -> list[str]:
        """See SqlStore."""
        return [name for (name,) in self.execute(f"SELECT name FROM pragma_table_info('{table}')")]

    def _refuse_programs(self) -> None:
        """A checkout may hold a database that does something else than to remember, for as long as it likes."""
        self._db.execute("PRAGMA trusted_schema = OFF")
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE type IN ('trigger', 'view') LIMIT 1").fetchall():
            raise sqlite3.DatabaseError("malformed: it has a trigger or a view, as no history of trainci's has")

    def _choose_journal(self) -> None:
        # What is written ahead is shared by the memory of one host (sqlite.org/wal.html): others lose each other's.
        mode = "DELETE" if mount_of(str(self.file)).is_network else "WAL"
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._db.execute(f"PRAGMA journal_mode = {mode}")
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
