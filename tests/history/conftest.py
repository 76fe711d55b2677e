"""A repository's state, and each of the stores over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trainci.history import STORES
from trainci.history.recorder import Recorder
from trainci.history.store import Store
from trainci.model import events
from trainci.paths import StatePaths


@pytest.fixture
def state(tmp_path: Path) -> StatePaths:
    return StatePaths(tmp_path)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name else name for name in STORES])
def open_store(request: pytest.FixtureRequest, state: StatePaths) -> Callable[[], Store]:
    """Opens the same history each time."""
    if request.param:
        server = request.getfixturevalue("postgres_server")
        server.empty()
        state.url = server.url
    return lambda: STORES[request.param]()(state)


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    return open_store()


@pytest.fixture
def tell(store: Store, state: StatePaths) -> Callable[[str, list[events.Control]], None]:
    """Has the recorder of a run hear these events."""

    def listen(run_id: str, told: list[events.Control]) -> None:
        recorder = Recorder(store, state, run_id)
        for event in told:
            recorder(event)

    return listen
