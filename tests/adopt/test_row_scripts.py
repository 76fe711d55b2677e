"""A step that starts what each row of a table names is no part of the installation, whatever shell is around it."""

from __future__ import annotations

import pytest

from trainci.adopt.commands.entries import runs_something
from trainci.adopt.shell.script import commands


@pytest.mark.parametrize(
    ("script", "runs"),
    [
        ('if [ "$N" = "0" ]; then\n  python "$T"\nelse\n  python lock.py -- python "$T"\nfi', True),
        ('if [ -n "$X" ]; then\n  echo x\nelse\n  bash "$T"\nfi', True),
        ('for t in $TESTS; do\n  pytest "$t"\ndone', True),
        ('if [ -n "$X" ]; then\n  pip install x\nfi', False),
        ("pip install -e .", False),
    ],
)
def test_a_branch_that_starts_something_is_seen(script: str, runs: bool) -> None:
    assert any(runs_something(command) for command in commands(script, 1, {})) is runs
