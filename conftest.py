"""How tests are collected and shared out: fast, as each worker collects every test before it runs its share."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import Any

import pytest

# What is imported and collected stays. To look for garbage in it took a fifth of the time.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file of slow tests only is not imported where none of them is wanted: some import what takes seconds."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    return bool(re.search(r"^pytestmark = .*\bmark\.slow\b", collection_path.read_text(), re.MULTILINE)) or None


# A test of an engine, by the value that it is tried with or by its file.
_ENGINE = re.compile(r".*[\[-](ray|slurm)[\]-]|.*/test_(ray|slurm)_?\w*\.py")


def _engine(nodeid: str) -> str:
    found = _ENGINE.match(nodeid)
    return (found[1] or found[2]) if found else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Engines come late: they take a part of the machine for as long as they are up, to the end of all tests. After
    them the tests of the example: those of an engine are long, and share a worker, so that others need some, too.
    """

    def turn(item: pytest.Item) -> tuple[int, str]:
        engine = _engine(item.nodeid)
        return (1 if engine else 2 if item.nodeid.startswith("examples/") else 0), engine

    items.sort(key=turn)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """For `make test`; the fast tests need no engine. Not everywhere where tests run xdist is installed."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFileAndEngine(LoadFileScheduling):
        """Tests of one file share a worker, and all those of one engine, which is started once."""

        def _split_scope(self, nodeid: str) -> str:
            return _engine(nodeid) or super()._split_scope(nodeid)

    return ByFileAndEngine(config, log)
