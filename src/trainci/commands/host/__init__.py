"""``trainci host``: prepares a host for all its users, and finds what is wrong with one."""

from __future__ import annotations

from collections.abc import Sequence

import click

from trainci.commands.host.checks import Finding, State, beside, check_host
from trainci.errors import EXIT_FAILED, EXIT_OK
from trainci.host import devices
from trainci.lease.prepare import Wish, prepare
from trainci.text import columns, counted


@click.group("host")
def command() -> None:
    """Prepare this host for all its users, or find what is wrong with it."""


@command.command("setup")
@click.option("--group", metavar="GROUP", help="Who may lease, '' for everybody; left out, as it is.")
@click.option("--lock-dir", default="", metavar="DIR", help="Where the lock directory is to be; else /run/trainci.")
@click.option("--high-priority-group", metavar="GROUP", help="Who may lease with --priority high, in the same way.")
def setup(group: str | None, lock_dir: str, high_priority_group: str | None) -> int:
    """Make the lock directory and the lock of each GPU, as root; print what was done. May be run again."""
    path, done = prepare(Wish(lock_dir, group, high_priority_group), devices.discover())
    for sentence in done:
        click.echo(sentence)
    _print(beside(path))
    click.echo("`trainci host check` says what is still to be done.")
    return EXIT_OK


@command.command("check")
@click.option("--lock-dir", metavar="DIR", help="The lock directory; else $TRAINCI_LOCK_DIR, or the default.")
def check(lock_dir: str | None) -> int:
    """Say what is right and what is wrong on this host, and how each fault is mended. Exit code 1 for a fault."""
    found = check_host(lock_dir)
    _print(found)
    faults = sum(one.state is State.WRONG for one in found)
    click.echo(f"{counted(faults, 'fault')}." if faults else "Nothing is wrong.")
    return EXIT_FAILED if faults else EXIT_OK


def _print(found: Sequence[Finding]) -> None:
    table = columns([(one.state.value, one.what, one.said) for one in found])
    for one, line in zip(found, table, strict=True):
        click.echo(line)
        if one.mend:
            click.echo(f"       mend: {one.mend}")
