"""What a program hands over to be called later, and what its commands return, may lose a failure: told, no more."""

from __future__ import annotations

import ast

import pytest

from trainci.catalog.names import Names
from trainci.catalog.python.callbacks import lost_by_callbacks

HEAD = """import signal, atexit, sys, click
from absl import app
def over(*told):
    print("over")
    sys.exit(0)
def fails(*told):
    sys.exit(1)
def keeps(error):
    errors.append(error)
def says(error):
    print("failed", error)
def is_right():
    if bad:
        return False
    return True
"""
LOST = [
    "signal.signal(signal.SIGALRM, over)",
    "atexit.register(over)",
    "pool.apply_async(work, error_callback=print)",
    "pool.map_async(work, files, error_callback=says)",
    "pool.apply_async(work, error_callback=lambda error: print(error))",
    "@retry(retry_error_callback=lambda state: None)\ndef a(): pass",
    "@backoff.on_exception(backoff.expo, Exception, raise_on_giveup=False)\ndef a(): pass",
    "app.run(is_right)",
    "@click.command()\ndef a():\n    return 1",
    "@cli.command\ndef a():\n    return run(x).returncode",
]
SOUND = [
    "signal.signal(signal.SIGALRM, fails)",
    "atexit.register(keeps)",
    "pool.apply_async(work, error_callback=keeps)",
    "pool.apply_async(work, error_callback=errors.append)",
    "@retry(retry_error_callback=lambda state: state.outcome.result())\ndef a(): pass",
    "@backoff.on_exception(backoff.expo, Exception)\ndef a(): pass",
    "app.run(over)",
    "@click.command()\ndef a():\n    sys.exit(1)",
    "@click.command()\ndef a():\n    return",
    "@pytest.mark.parametrize('x', [1])\ndef a(x):\n    return 1",
]


def lost(text: str) -> list[bool]:
    tree = ast.parse(HEAD + text)
    return [one.certain for one in lost_by_callbacks(tree, Names(tree))]


@pytest.mark.parametrize("text", LOST)
def test_a_failure_that_is_handed_to_nobody_is_told(text: str) -> None:
    assert lost(text) == [False]


@pytest.mark.parametrize("text", SOUND)
def test_one_that_is_kept_or_raised_is_left_alone(text: str) -> None:
    assert lost(text) == []
