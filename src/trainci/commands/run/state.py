"""Where a run keeps its files."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from trainci.paths import RunPaths, StatePaths


def make_room(root: Path, say: Callable[[str], object]) -> tuple[StatePaths, str]:
    """Where the run keeps its files, and its name. A repository that cannot be written has them elsewhere.

    :raises UsageError: something stands in their place.
    """
    run_id = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(3)
    state = StatePaths(root)
    state.check()
    try:
        state.create()
        RunPaths(state, run_id).directory.mkdir()
    except OSError as error:
        state = StatePaths(root, Path(tempfile.mkdtemp(prefix="trainci-")))
        say(
            f".trainci cannot be written ({error.strerror}): this run is not kept in the history; its logs are in "
            f"{RunPaths(state, run_id).directory}"
        )
    return state, run_id
