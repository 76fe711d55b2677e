"""``trainci clean``: removes what earlier runs have left, as far as it is not to be kept."""

from __future__ import annotations

import click

from trainci.errors import EXIT_MACHINE, EXIT_OK
from trainci.history.retention import Cleaned, expired, kept_runs, remove
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
    project, state = repository.project, repository.state
    state.check()
    runs = kept_runs(state, project.artifacts)
    unsent = [run for run in runs if run.unsent]
    gone = (
        [run for run in runs if not run.unsent] if everything else expired(runs, project.retention, steady_time())
    )
    cleaned = Cleaned(gone, []) if dry_run else remove(state, gone)
    size = sum(run.size for run in cleaned.removed) / 1e6
    word = "would be removed" if dry_run else "removed"
    place = printable(str(state.directory))
    click.echo(f"{counted(len(cleaned.removed), 'run')} of {len(runs)}, {size:.1f} MB, {word} from {place}.")
    if kept := [run for run in unsent if run not in gone]:
        click.echo(f"{counted(len(kept), 'run')} not yet sent to {printable(project.artifacts)}: kept until then.")
    for why in cleaned.stay:
        click.echo(f"trainci: not removed: {printable(why)}", err=True)
    return EXIT_MACHINE if cleaned.stay else EXIT_OK
