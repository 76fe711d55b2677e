"""Durations do not depend on the host's clock, which somebody may set."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import trainci
from trainci.host.clock import steady

# The second shows how long ago other processes said that they began.
MAY_LOOK = {"host/clock.py"}
ROOMS = ("runner.py", "commands", "console", "executors", "history", "reports", "host/clock.py")


class Host:
    wall = 1_700_000_000.0
    monotonic = 50.0


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_host_whose_clock_jumps_has_the_same_durations(jump):
    host = Host()
    now = steady(lambda: host.wall, lambda: host.monotonic)
    began = now()
    assert began == 1_700_000_000.0
    host.wall += jump + 3.0
    host.monotonic += 3.0
    assert now() - began == 3.0


def test_no_part_of_a_run_looks_at_the_clock_that_jumps():
    root = Path(trainci.__file__).parent
    files = [path for room in ROOMS for path in [root / room, *(root / room).rglob("*.py")] if path.is_file()]
    looking = {
        str(path.relative_to(root))
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "time" and isinstance(node.value, ast.Name)
        if node.value.id == "time"
    }
    assert looking == MAY_LOOK
