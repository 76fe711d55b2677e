"""``trainci report``: a finished run as a file, for people or for other programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from trainci.answers.form import text_of
from trainci.config import find_root, load
from trainci.errors import EXIT_OK, MachineError, UsageError
from trainci.history.places import fetched
from trainci.history.runs import Told, find_run, metrics_of, read_run
from trainci.history.samples import read_samples
from trainci.host import files
from trainci.paths import StatePaths, state_paths
from trainci.reports.answer import finished
from trainci.reports.ctrf import ctrf
from trainci.reports.junit import junit
from trainci.reports.page import page
from trainci.reports.timeline import slices
from trainci.reports.trace import trace
from trainci.text import printable

# Each form's file is called by the run's id and this; it makes the bytes of a file in the given folder.
_FORMS: Mapping[str, tuple[str, Callable[[Told, Path | None], bytes]]] = {
    "html": ("html", lambda told, folder: page_of(told, folder)),
    "junit": ("xml", lambda told, _: junit(told.run, told.root)),
    "ctrf": ("ctrf.json", lambda told, _: ctrf(told.run, told.root)),
    "trace": ("trace.json", lambda told, _: trace(told.run, slices(told.events), tuple(read_samples(told.folder)))),
    "json": ("json", lambda told, _: text_of(finished(told.run)).encode() + b"\n"),
}


@click.command("report")
@click.argument("name", default="", metavar="[RUN]")
@click.option(
    "--format", "form", type=click.Choice(list(_FORMS)), default="html", show_default=True, help="Of the file."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="trainci-RUN.html if not given.",
)
def command(name: str, form: str, output: Path | None) -> int:
    """Write a run as one file.

    RUN is its id or the beginning of it, a folder that holds it, or where it was sent (s3://…/RUN); the newest if
    not given. The HTML page fetches nothing and needs no script; a trace opens in ui.perfetto.dev.
    """
    if "://" in name:
        with fetched(name) as folder:
            # Its logs go with the block: nothing can be linked to.
            return _write(read_run(folder), form, output, linked=False)
    return _write(read_run(find_run(_state(name), name)), form, output, linked=True)


def _write(told: Told, form: str, output: Path | None, *, linked: bool) -> int:
    ending, make = _FORMS[form]
    target = output or Path(f"trainci-{told.run.id}.{ending}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        files.replace(target, make(told, target.parent.resolve() if linked else None))
    except OSError as error:
        raise MachineError(f"{printable(str(target))}: the report cannot be written: {error.strerror}.") from None
    click.echo(printable(str(target)))
    return EXIT_OK


def _state(name: str) -> StatePaths:
    """Where runs are kept. A folder that somebody names needs no repository around it."""
    try:
        root = find_root(Path.cwd())
        return state_paths(root, load(root).state_dir, os.environ)
    except UsageError:
        if name and Path(name).is_dir():
            return StatePaths(Path.cwd())
        raise


def page_of(told: Told, folder: Path | None) -> bytes:
    """The page of a run as it lies in ``folder``, from where it links to its logs; without one it links to none."""
    samples = tuple(read_samples(told.folder))
    return page(told.run, slices(told.events), told.root, metrics_of(told), folder, samples)
