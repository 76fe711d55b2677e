"""Where a run keeps its files."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from trainci.errors import MachineError
from trainci.github import actions as github
from trainci.history.retention import expired, kept_runs, remove
from trainci.host.clock import steady_time
from trainci.paths import RunPaths, StatePaths
from trainci.repository import Repository
from trainci.text import counted


def make_room(state: StatePaths, say: Callable[[str], object]) -> tuple[StatePaths, str]:
    """Where the run keeps its files, and its name. A repository that cannot be written has them elsewhere.

    :raises UsageError: something stands in their place.
    :raises MachineError: nor can any other place be written.
    """
    run_id = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(3)
    state.check()
    try:
        state.create()
        RunPaths(state, run_id).directory.mkdir()
        _link(state, run_id)
    except OSError as error:
        place = RunPaths(state, run_id).shown(state.directory)
        state = StatePaths(state.root, _elsewhere(f"{place} cannot be written ({error.strerror})"))
        say(
            f"{place} cannot be written ({error.strerror}): this run is not kept in the history; its logs are in "
            f"{RunPaths(state, run_id).directory}"
        )
    return state, run_id


def _elsewhere(why: str) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="trainci-"))
    except OSError as error:
        raise MachineError(
            f"the logs have no place: {why}, and no folder for temporary files ({error.strerror}). Make room, or "
            "set TMPDIR to a folder that can be written."
        ) from None


def _link(state: StatePaths, run_id: str) -> None:
    """In a job of GitHub's its logs are looked for in the checkout, to be uploaded, wherever they are kept.

    :raises OSError: the checkout cannot be written.
    """
    there, here = RunPaths(state, run_id).directory, StatePaths(state.root)
    if there.is_relative_to(here.directory) or not github.in_actions(os.environ):
        return
    here.check()
    here.create()
    (here.runs / run_id).symlink_to(there, target_is_directory=True)


def tidy(repository: Repository) -> None:
    """Remove the logs of runs that are not to be kept any more."""
    project, state = repository.project, repository.state
    gone = expired(kept_runs(state, project.artifacts), project.retention, steady_time())
    if removed := remove(state, gone).removed:
        click.echo(f"trainci: removed the logs of {counted(len(removed), 'run')} (`keep`, `keep_size`)", err=True)
