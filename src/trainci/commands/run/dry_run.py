"""``trainci run --dry-run``: what would run, why, and by which command."""

from __future__ import annotations

import click

from trainci.errors import EXIT_OK, EXIT_USAGE
from trainci.executors.base import Executor
from trainci.model.selection import Selection
from trainci.schedule import Fitting
from trainci.text import counted, printable


def print_plan(selected: Selection, feasible: Fitting, executor: Executor) -> int:
    """Print it; the exit code."""
    elsewhere = {item.test_id: f"    not on this host: it {item.sentence}" for item in feasible.too_large}
    elsewhere |= {item.test_id: f"    skipped on this host: it {item.sentence}" for item in feasible.skipped}
    elsewhere |= {item.test_id: f"    skipped, {printable(item.sentence)}" for item in feasible.disabled}
    for item in selected.tests:
        test = item.test
        click.echo(f"{test.id}\n    because: {item.reason}")
        click.echo(
            f"    devices: {test.num_gpus}, time limit {test.timeout:g} s\n    command: {executor.command(test)}"
        )
        for line in executor.submission(test).splitlines():
            click.echo(f"    | {printable(line)}")
        if test.id in elsewhere:
            click.echo(elsewhere[test.id])
    for refused in selected.refused:
        click.echo(f"{refused.test_id}\n    refused: {refused.sentence}")
    click.echo(selected.note or f"{counted(len(selected.tests), 'test')} selected. Nothing was started.")
    return EXIT_USAGE if selected.refused else EXIT_OK
