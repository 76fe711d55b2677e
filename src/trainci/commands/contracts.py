"""``trainci contracts``: holds the hooks of a trainer to their contracts, outside a repository too."""

from __future__ import annotations

import sys

import click

from trainci.contracts.files import parse_settings, report, verdicts
from trainci.contracts.slime.table import CONTRACTS, OPTIONS
from trainci.errors import EXIT_OK, UsageError


@click.group("contracts")
def command() -> None:
    """Hold functions that a trainer loads from function paths to their contracts."""


@command.command("check")
@click.option("--group-rm", is_flag=True, help="Hold custom-rm-path to its form for groups.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="An attribute of args; VALUE as JSON.")
def check(group_rm: bool, settings: tuple[str, ...], **paths: str | None) -> int:
    """Load each hook, compare its signature and call it with small samples.

    The current directory is searched for modules first. Needs no GPU, torch or network: without torch, hooks
    that take tensors are held to their signature only, and the verdict says so. Exit code 1 when a hook breaks
    its contract.
    """
    hooks = {option: path for option in OPTIONS if (path := paths[option.replace("-", "_")])}
    if not hooks:
        raise UsageError(
            "name a hook, as in --custom-rm-path PKG.MODULE.FUNCTION; `trainci contracts list` has all"
        )
    return report(verdicts(hooks, parse_settings(settings), group_rm=group_rm), sys.stdout)


check.params[:0] = [click.Option([f"--{option}"], metavar="PKG.MODULE.FUNCTION") for option in OPTIONS]


@command.command("list")
def list_contracts() -> int:
    """Show the signature of every hook."""
    for contract in CONTRACTS:
        click.echo(f"--{contract.option}{' --group-rm' if contract.group else ''}")
        click.echo(f"    {contract.signature}")
    return EXIT_OK
