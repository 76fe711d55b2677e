"""``trainci clean``: removes what earlier runs have left, as far as it is not to be kept."""

from __future__ import annotations

import click

from trainci.errors import EXIT_OK
from trainci.history.retention import expired, kept_runs, remove
from trainci.host.clock import steady_time
from trainci.repository import open_repository
from trainci.text import counted, printable


@click.command("clean")
@click.option("--all", "everything", is_flag=True, help="Every run that has ended, however new it is.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
def command(everything: bool, dry_run: bool) -> int:
    """Remove the logs of runs that are older, or take more, than `keep` and `keep_size` of trainci.toml allow.

    The history stays: durations, verdicts and metrics. Each `trainci run` does so by itself when it has ended.
    """
    repository = open_repository()
    state = repository.state
    state.check()
    runs = kept_runs(state)
    gone = runs if everything else expired(runs, repository.project.retention, steady_time())
    removed = gone if dry_run else remove(state, gone)
    size = sum(run.size for run in removed) / 1e6
    word = "would be removed" if dry_run else "removed"
    place = printable(str(state.directory))
    click.echo(f"{counted(len(removed), 'run')} of {len(runs)}, {size:.1f} MB, {word} from {place}.")
    return EXIT_OK
