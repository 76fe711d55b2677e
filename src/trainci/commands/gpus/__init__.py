"""``trainci gpus``: who holds each device, who waits for what, and what a maintainer does about it by hand."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from trainci.answers.form import text_of
from trainci.answers.gpus import Status
from trainci.commands.gpus.table import lines
from trainci.errors import EXIT_OK, UsageError
from trainci.lease.actions import ALL, Maintainer, device_named, request_named
from trainci.lease.view import host_status

_EVERY_S = 2.0


def _named(action: str, metavar: str, text: str) -> Callable[[Any], Any]:
    return click.option(f"--{action}", metavar=metavar, multiple=True, help=text)


@click.command("gpus")
@click.option(
    "--lock-dir", metavar="DIR", help="The host's lock directory; else $TRAINCI_LOCK_DIR, or the default."
)
@click.option("--virtual", is_flag=True, help="Show virtual devices, too.")
@click.option("--watch", is_flag=True, help=f"Show it again every {_EVERY_S:g} seconds, until ^C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object (docs/json.md).")
@_named("drain", "GPU|all", "Hand it out no more; who holds it keeps it.")
@_named("undrain", "GPU|all", "Hand a drained one out again.")
@_named("quarantine", "GPU|all", "Mark it as broken.")
@_named("release", "GPU|all", "Clear a quarantine.")
@_named("cancel", "REQUEST", "End a request that waits.")
@click.option("--reason", default="", metavar="TEXT", help="Why; others see it.")
def command(lock_dir: str | None, virtual: bool, watch: bool, as_json: bool, reason: str, **acts: Any) -> int:
    """Show each GPU of this host, who holds it or why it is not handed out, and who waits for what.

    GPU is a number, a UUID, or the beginning of one; each action is in the ledger of the lock directory.
    """

    def look() -> Status:
        return host_status(lock_dir)

    if any(acts.values()):
        return _act(look(), Maintainer(lock_dir, os.environ), acts, reason)
    if watch and as_json:
        raise UsageError("--watch and --json exclude each other.")
    if as_json:
        click.echo(text_of(look()))
        return EXIT_OK
    return _watch(look, virtual) if watch else _show(look(), virtual)


def _act(seen: Status, maintainer: Maintainer, acts: dict[str, tuple[str, ...]], reason: str) -> int:
    """Do what was asked for, all of it or, where a name is wrong, nothing."""
    named = {action: names for action, names in acts.items() if action != "cancel"}
    wanted: list[tuple[Callable[[Any, str], str], Any]] = [
        (getattr(maintainer, action), uuid)
        for action, names in named.items()
        for name in names
        for uuid in _devices(action, name, seen, maintainer)
    ]
    wanted += [(maintainer.cancel, request_named(name, seen.waiting)) for name in acts["cancel"]]
    for act, subject in wanted:
        click.echo(act(subject, reason))
    return EXIT_OK


def _devices(action: str, name: str, seen: Status, maintainer: Maintainer) -> list[str]:
    named = device_named(name, seen.devices)
    return maintainer.concerned(action, named) if name == ALL else named


def _show(seen: Status, virtual: bool) -> int:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines(seen, virtual, width):
        click.echo(line)
    return EXIT_OK


def _watch(look: Callable[[], Status], virtual: bool) -> int:
    try:
        while True:
            if sys.stdout.isatty():
                click.echo("\033[H\033[2J", nl=False)
            _show(look(), virtual)
            time.sleep(_EVERY_S)
            click.echo()
    except KeyboardInterrupt:
        return EXIT_OK
