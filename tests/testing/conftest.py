"""What the tests of trainci.testing ask of real processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import support

# A cluster, or a host with other things to do, takes its time.
PATIENCE_S = 120


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """See ``support.alive``."""
    return support.alive


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """See ``support.wait_until``."""
    return lambda condition: support.wait_until(condition, "what the test waits for", PATIENCE_S)
