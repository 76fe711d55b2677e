"""Collects fast: each worker of `make check` collects every test before it runs its share of them."""

from __future__ import annotations

import gc
import re
from pathlib import Path

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
