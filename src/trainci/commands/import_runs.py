"""``trainci import``: the past of other tools and of other hosts, into the history."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import islice
from pathlib import Path

import click

from trainci.errors import EXIT_OK, UsageError
from trainci.history import imports, open_store
from trainci.history.recorder import Recorder
from trainci.history.runs import files_below, read_run, runs_below
from trainci.history.store import Store
from trainci.history.unpacked import NotUnpacked, unpacked
from trainci.items import LARGEST_FILE
from trainci.model.events import RunStarted
from trainci.paths import StatePaths
from trainci.repository import open_repository
from trainci.text import counted, printable

# Events that are entered while nobody else can enter any.
_AT_ONCE = 1000


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--commit", default="", metavar="SHA", help="Of files that do not say which commit they are of.")
def command(files: tuple[Path, ...], commit: str) -> int:
    """Enter runs of other tools, or of other hosts, into the history.

    FILE is a JUnit or CTRF report, or a folder or a zip of reports or of runs of trainci's, as jobs leave them.
    What is entered twice is there once.
    """
    repository = open_repository()
    state = repository.state
    state.check()
    with closing(open_store(state)) as store:
        for file in files:
            enter = partial(_report, store, state, files=repository.files, commit=commit)
            click.echo(f"{printable(str(file))}: {_entered(store, file, enter)} entered")
    return EXIT_OK


def _entered(store: Store, file: Path, enter: Callable[[Path], int]) -> str:
    if file.is_dir():
        return _folder(store, file, file, enter)
    try:
        if file.is_file() and zipfile.is_zipfile(file):
            with unpacked(file) as folder:
                return _folder(store, file, folder, enter)
    except OSError as error:
        raise UsageError(f"{printable(str(file))}: it cannot be unpacked: {error.strerror}.") from None
    except NotUnpacked as error:
        raise UsageError(f"{printable(str(file))}: it cannot be unpacked: {printable(str(error))}.") from None
    try:
        return counted(enter(file), "test")
    except imports.NotForeign as error:
        raise UsageError(f"{printable(str(file))}: {printable(str(error))}.") from None


def _folder(store: Store, named: Path, folder: Path, enter: Callable[[Path], int]) -> str:
    """What is in ``folder``, which somebody called ``named``: runs of trainci's, else reports."""
    if runs := runs_below(folder):
        return _runs(store, runs)
    tests, reports = 0, 0
    for file in sorted(path for path in files_below(folder) if path.suffix in (".xml", ".json")):
        # Beside reports there may be anything of such a name.
        with suppress(imports.NotForeign):
            tests, reports = tests + enter(file), reports + 1
    if not reports:
        raise UsageError(f"{printable(str(named))}: no run of trainci's and no JUnit or CTRF report is in it.")
    return f"{counted(tests, 'test')} of {counted(reports, 'report')}"


def _runs(store: Store, found: Sequence[Path]) -> str:
    entered = 0
    for one in found:
        told = read_run(one)
        known = store.run(told.run.id)
        if known and known.ended_at is not None:
            # Nothing that somebody else's files say changes what is known.
            continue
        entered += 1
        record = Recorder(store, StatePaths(told.root), told.run.id)
        for event in told.events:
            record(event)
    known_ones = f" ({len(found) - entered} known already)" if entered < len(found) else ""
    return f"{counted(entered, 'run')}{known_ones}"


def _report(store: Store, state: StatePaths, file: Path, files: tuple[str, ...], commit: str) -> int:
    """Enter a report: how many tests it tells of.

    :raises imports.NotForeign: it is none.
    """
    if file.exists() and not file.is_file():
        raise UsageError(f"{printable(str(file))}: it is no file.")
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
            modified = os.fstat(opened.fileno()).st_mtime
        foreign = imports.read(data, files)
    except OSError as error:
        raise UsageError(f"{printable(str(file))}: it cannot be read: {error.strerror}.") from None
    told = imports.told(foreign, data, modified, commit)
    start = next(told)
    assert isinstance(start, RunStarted)
    record = Recorder(store, state, start.run_id)
    record(start)
    while some := list(islice(told, _AT_ONCE)):
        with store.together():
            for event in some:
                record(event)
    return len(foreign.tests)
