"""``trainci lease``, reached through the command line's one callable; the console script takes a shorter way."""

from __future__ import annotations

import click

from trainci.lease.command import main as lease


@click.command("lease", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Run a command on leased GPUs of this host."""
    return lease(list(arguments))
