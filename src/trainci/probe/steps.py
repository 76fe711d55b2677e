"""Runs the steps of a test one after another, in its lease: ``python -I steps.py REPORT STEPS``.

STEPS is a JSON list of objects with ``name``, ``command`` and ``env``; a line of JSON about each that begins, and
one about each that ended, is appended to REPORT. The first failure ends the test, with the exit code of that step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def run(report: str, steps: list[dict[str, Any]]) -> int:
    """The exit code of the first step that fails, else 0."""
    for number, step in enumerate(steps, start=1):
        at = place(number, len(steps))
        sys.stdout.write(f"{at} begins: {step['name']}\n")
        sys.stdout.flush()
        _tell(report, step=number)
        began = time.monotonic()
        code = _start(step)
        seconds = time.monotonic() - began
        _tell(report, step=number, exit_code=code, seconds=seconds)
        sys.stdout.write(f"{at} ended with exit code {code}, in {seconds:.1f} s\n")
        if code:
            return code
    return 0


def place(number: int, count: int) -> str:
    """How the lines begin that tell of a step."""
    return f"trainci: step {number} of {count}"


def _tell(report: str, **said: float) -> None:
    with Path(report).open("a", encoding="utf-8") as file:
        file.write(json.dumps(said) + "\n")


def _start(step: dict[str, Any]) -> int:
    try:
        code = subprocess.call(step["command"], env={**os.environ, **step["env"]})
    except OSError as error:
        sys.stdout.write(f"trainci: {step['command'][0]} cannot be started: {error.strerror}\n")
        return 127
    # As a shell tells it: a signal is 128 and its number.
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], json.loads(sys.argv[2])))
