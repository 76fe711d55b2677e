"""Native frames, where py-spy is installed (`pip install trainci[stacks]`) and the kernel lets it look."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

from trainci.model.look import Look, ProcessLook
from trainci.text import printable

_PATIENCE_S = 2.0
_MOST_LINES = 200
_LONGEST_LINE = 300


def with_native_frames(look: Look) -> Look:
    """``look`` with the stacks of its Python processes as py-spy sees them, C and C++ included.

    Each is stopped for a moment. All of it takes a few seconds at the most; then the others stay as they are.
    """
    # Of trainci's own environment, and not what a repository puts on the PATH.
    program = Path(sys.executable).with_name("py-spy")
    if not program.exists():
        return look
    give_up_at = time.monotonic() + _PATIENCE_S
    return replace(look, processes=tuple(_with_native(program, each, give_up_at) for each in look.processes))


def _with_native(program: Path, each: ProcessLook, give_up_at: float) -> ProcessLook:
    left = give_up_at - time.monotonic()
    if each.threads is None or left <= 0:
        return each
    words = [str(program), "dump", "--native", "--pid", str(each.pid)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=left, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return each
    if done.returncode != 0:
        return each
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    shown = (printable(line.rstrip()[:_LONGEST_LINE]) for line in lines if line.startswith((" ", "Thread")))
    return replace(each, native=tuple(islice(shown, _MOST_LINES)))
