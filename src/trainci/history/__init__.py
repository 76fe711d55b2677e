"""What is remembered of runs: the stores by name, the listener that fills one, the event log, crash recovery."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager

from trainci.history import sqlite
from trainci.history.store import Past, Store, StoreBroken
from trainci.paths import StatePaths
from trainci.verdict.suspects import Suspect, since, suspects

# As many attempts say what devices are like now; what was long ago, another driver may have done.
_LOOKED_BACK = 500


def _sqlite_store() -> Callable[[StatePaths], Store]:
    return sqlite.sqlite_store


def _postgres_store() -> Callable[[StatePaths], Store]:
    from trainci.history.postgres import postgres_store

    return postgres_store


# By the scheme of a history's URL; the first is in a file of the repository's own state, and has none.
STORES: Mapping[str, Callable[[], Callable[[StatePaths], Store]]] = {
    "": _sqlite_store,
    "postgresql": _postgres_store,
}


def load_store(state: StatePaths) -> Callable[[StatePaths], Store]:
    """What opens the history of a repository.

    :raises UsageError: what that needs is not installed.
    """
    return STORES[state.url.partition(":")[0]]()


def open_store(state: StatePaths) -> Store:
    """The history of a repository, which is made if there is none yet.

    :raises UsageError: as ``load_store``.
    :raises StoreError: it cannot be opened, or a newer trainci wrote it.
    """
    return load_store(state)(state)


@contextmanager
def existing_store(state: StatePaths) -> Iterator[Store | None]:
    """The history of a repository while it is looked at, None where there is none; none is made.

    :raises StoreError: as ``open_store``.
    :raises UsageError: a link is in its place, or something else.
    """
    state.check()
    if not (state.url or state.history.exists()):
        yield None
        return
    with closing(open_store(state)) as store:
        yield store


def known_past(state: StatePaths, test_ids: Iterable[str]) -> dict[str, Past]:
    """What is known of each of ``test_ids``; nothing where there is no history yet, and none is made.

    :raises StoreError, UsageError: as ``existing_store``.
    """
    with existing_store(state) as store:
        return store.past(test_ids) if store else {}


def suspected_devices(store: Store, host: str, known: Mapping[str, float]) -> list[Suspect]:
    """The devices of ``host`` whose failures since somebody has ``known`` of each (Unix times) cannot be chance."""
    return suspects(since(store.used_devices(host, _LOOKED_BACK), known))


def suspected_hosts(store: Store) -> list[Suspect]:
    """The hosts that share a history and whose failures cannot be chance, in the place of devices."""
    return suspects(store.used_hosts(_LOOKED_BACK))


def set_aside(state: StatePaths, error: StoreBroken) -> str:
    """Move the history away that was found to be broken, so that a new one can begin; the sentence that says so.

    :raises OSError: it cannot be moved.
    """
    place = sqlite.move_away(state.history, error.identity, time.strftime("%Y%m%d-%H%M%S"))
    return f"{error.place} is broken ({error.reason}): it is now {place.name}, and a new history begins."
