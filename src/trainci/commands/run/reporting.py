"""What ``trainci run`` leaves beside its output: a job's summary, a JUnit report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from trainci import git
from trainci.answers.form import text_of
from trainci.commands.report import page_of
from trainci.commands.run.options import Options
from trainci.errors import EXIT_OK, MachineError
from trainci.executors.base import Executor
from trainci.github import actions as github
from trainci.history.runs import read_run
from trainci.host.clock import steady_time
from trainci.model.run import Run
from trainci.reports import otel, summary
from trainci.reports.answer import finished
from trainci.reports.junit import junit, write_junit
from trainci.repository import Repository
from trainci.text import printable


def report(run: Run, root: Path, options: Options) -> None:
    """Write each report; one that cannot be written is told, and changes neither the others nor the exit code."""
    try:
        github.write_summary(summary.markdown(run), os.environ)
    except MachineError as error:
        click.echo(f"trainci: {error}", err=True)
    if options.junit is not None:
        try:
            write_junit(run, root, options.junit)
        except OSError as error:
            place = printable(str(options.junit))
            click.echo(f"trainci: {place}: the report cannot be written: {error.strerror}", err=True)
    if otel.is_wanted(os.environ):
        try:
            otel.export(run, os.environ)
        except MachineError as error:
            click.echo(f"trainci: {printable(str(error))}", err=True)
    if options.as_json:
        click.echo(text_of(finished(run)))


def reports(folder: Path) -> Mapping[str, bytes]:
    """The reports that are sent with the files of the run in ``folder``, by their names.

    :raises UsageError: what is there is no run's.
    """
    told = read_run(folder)
    return {"report.html": page_of(told, folder), "report.xml": junit(told.run, told.root)}


def report_nothing(repository: Repository, executor: Executor, options: Options) -> None:
    """The same where nothing ran."""
    now = steady_time()
    commit = git.head(repository.root)
    report(Run("", commit, now, now, (), executor.pool.sentence, EXIT_OK), repository.root, options)
