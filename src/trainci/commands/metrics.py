"""``trainci metrics``: what the tests recorded of themselves."""

from __future__ import annotations

import click

from trainci.commands.completion import complete_tests
from trainci.history import open_existing
from trainci.history.store import Recorded
from trainci.paths import StatePaths
from trainci.repository import open_repository
from trainci.text import columns, printable

_HEADER = ("METRIC", "LAST", "STEP", "BEFORE", "RUN")


@click.command("metrics")
@click.argument("ids", nargs=-1, required=True, metavar="TEST_ID...", shell_complete=complete_tests)
def command(ids: tuple[str, ...]) -> int:
    """Show the metrics of tests: the last value that each recorded, and that of the run before it.

    A test records with trainci.testing.record_metric; TEST_ID is as `trainci list` shows it.
    """
    history = open_existing(StatePaths(open_repository().root))
    for test_id in ids:
        click.echo(printable(test_id))
        recorded = history.recorded(test_id) if history else []
        for line in columns([_HEADER, *map(_row, recorded)]) if recorded else ["no metric recorded yet"]:
            click.echo(f"  {line}")
    return 0


def _row(recorded: Recorded) -> tuple[str, ...]:
    last = recorded.last
    before = "-" if recorded.before is None else f"{recorded.before:.6g}"
    step = "-" if last.step is None else str(last.step)
    # Whatever a test, or whoever committed a history, wrote there.
    return (printable(last.name), f"{last.value:.6g}", step, before, printable(recorded.run_id))
