"""What is remembered of runs: the stores by name, the listener that fills one, the event log, crash recovery."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trainci.history.sqlite import sqlite_store
from trainci.history.store import Store
from trainci.paths import StatePaths

STORES: Mapping[str, Callable[[StatePaths], Store]] = {
    "sqlite": sqlite_store,
}


def open_store(state: StatePaths) -> Store:
    """The history of a repository, which is made if there is none yet.

    :raises MachineError: it cannot be opened, or a newer trainci wrote it.
    """
    return STORES["sqlite"](state)


def open_existing(state: StatePaths) -> Store | None:
    """The history of a repository, None while there is none.

    :raises MachineError: as ``open_store``.
    """
    return open_store(state) if state.history.exists() else None
