"""What a run keeps for whoever goes on with it."""

from __future__ import annotations

import os

import pytest

from trainci.commands.run.kept import read_kept
from trainci.errors import UsageError
from trainci.paths import StatePaths


def test_a_run_of_another_user_is_not_gone_on_with(tmp_path, monkeypatch):
    """Not by root either: Slurm would name none of its jobs, and each would be run a second time beside itself."""
    state = StatePaths(tmp_path)
    (state.runs / "run-1").mkdir(parents=True)
    with pytest.raises(UsageError, match="had begun"):
        read_kept(state, "run-1")
    me = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: me + 1)
    with pytest.raises(UsageError, match=r"--attach run-1: its jobs are those of user .*, who alone goes on"):
        read_kept(state, "run-1")
