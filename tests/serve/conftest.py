"""Names of a repository in a fresh folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import served

from trainci.paths import StatePaths


@pytest.fixture
def state(tmp_path: Path) -> StatePaths:
    return served.repository(tmp_path / "repository")
