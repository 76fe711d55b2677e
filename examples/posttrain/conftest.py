"""Makes the package importable for tests that pytest runs: from the root of its repository."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The others are where a test that runs as a program finds what tests share: pytest imports each to look for tests.
sys.path += [str(Path(__file__).parent / folder) for folder in ("", "tests", "tests/plugin_contracts")]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # see tests/_shared.py


@pytest.fixture(scope="session", autouse=True)
def no_test_around_us() -> Iterator[None]:
    """These tests may themselves run under trainci: what they start must not take their ports and devices."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("TRAINCI_"):
                patch.delenv(name)
        yield
