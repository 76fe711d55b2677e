"""``trainci import``: the past of other tools and of other hosts, into the history."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import click

from trainci.errors import EXIT_OK, UsageError
from trainci.history import imports, open_store
from trainci.history.recorder import Recorder
from trainci.history.runs import read_run, runs_below
from trainci.history.store import Store
from trainci.items import LARGEST_FILE
from trainci.model.events import RunStarted
from trainci.paths import StatePaths
from trainci.repository import open_repository
from trainci.text import counted, printable


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--commit", default="", metavar="SHA", help="Of files that do not say which commit they are of.")
def command(files: tuple[Path, ...], commit: str) -> int:
    """Enter runs of other tools, or of other hosts, into the history.

    FILE is a JUnit report, a CTRF report, or a folder of runs of trainci's, such as the artifacts of a job. What is
    entered twice is there once.
    """
    repository = open_repository()
    state = repository.state
    state.check()
    with closing(open_store(state)) as store:
        for file in files:
            entered = _runs(store, file) if file.is_dir() else _report(store, state, file, repository.files, commit)
            click.echo(f"{printable(str(file))}: {entered}")
    return EXIT_OK


def _runs(store: Store, folder: Path) -> str:
    found = runs_below(folder)
    if not found:
        raise UsageError(f"{printable(str(folder))}: no run of trainci's is in it.")
    for one in found:
        told = read_run(one)
        record = Recorder(store, StatePaths(told.root), told.run.id)
        for event in told.events:
            record(event)
    return f"{counted(len(found), 'run')} entered"


def _report(store: Store, state: StatePaths, file: Path, files: tuple[str, ...], commit: str) -> str:
    if file.exists() and not file.is_file():
        raise UsageError(f"{printable(str(file))}: it is no file.")
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
            modified = os.fstat(opened.fileno()).st_mtime
        foreign = imports.read(data, files)
    except OSError as error:
        raise UsageError(f"{printable(str(file))}: it cannot be read: {error.strerror}.") from None
    except imports.NotForeign as error:
        raise UsageError(f"{printable(str(file))}: {printable(str(error))}.") from None
    record = None
    for event in imports.told(foreign, data, modified, commit):
        if isinstance(event, RunStarted):
            record = Recorder(store, state, event.run_id)
        assert record
        record(event)
    return f"{counted(len(foreign.tests), 'test')} entered"
