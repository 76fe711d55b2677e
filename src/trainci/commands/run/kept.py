"""What a run keeps of its plan, where its jobs outlive the process that started it: enough to go on with it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from trainci.errors import UsageError
from trainci.history.event_log import is_alive
from trainci.host.files import open_plain
from trainci.host.users import user_name
from trainci.model.values_json import read_value, write_value
from trainci.paths import RunPaths, StatePaths
from trainci.schedule import Fitting

# A plan of 10,000 tests has 20 MB.
_LARGEST = 1 << 28


@dataclass(frozen=True)
class Kept:
    """A run as it was asked for: the fields of Plan, and of what runs it."""

    run_id: str
    commit: str
    fitting: Fitting
    replay: tuple[tuple[str, str], ...]
    fail_fast: bool
    jobs: int
    executor: str
    devices: str


def keep(kept: Kept, paths: RunPaths) -> None:
    """Write it beside the events of the run.

    :raises OSError: it cannot be written.
    """
    temporary = paths.plan.with_suffix(".new")
    temporary.write_text(write_value(kept))
    temporary.replace(paths.plan)


def read_kept(state: StatePaths, run_id: str) -> Kept:
    """What the run with this name kept.

    :raises UsageError: there is no such run, it is another user's, its runner lives, or its tests ended with it.
    """
    paths = RunPaths(state, run_id)
    if paths.directory.parent != state.runs or not paths.directory.is_dir():
        raise UsageError(f"--attach {run_id}: there is no such run in {state.runs}.")
    if (owner := paths.directory.stat().st_uid) != os.geteuid():
        # An engine shows a user no jobs but its own: to anybody else they would be lost, and be run again beside.
        raise UsageError(
            f"--attach {run_id}: its jobs are those of user {user_name(owner)}, who alone goes on with it."
        )
    if is_alive(paths.events):
        raise UsageError(f"--attach {run_id}: its runner lives; nothing is to be done.")
    try:
        with open_plain(paths.plan) as plan:
            kept: Kept = read_value(Kept, json.loads(plan.read(_LARGEST)), "plan")
    except FileNotFoundError:
        raise UsageError(
            f"--attach {run_id}: its tests ran on this host and ended with their runner, or none had begun."
            " Run them again."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"--attach {run_id}: {paths.shown(paths.plan)} cannot be read: {error}.") from None
    return kept
