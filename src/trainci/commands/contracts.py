"""``trainci contracts``: holds the hooks of a trainer to their contracts, outside a repository too."""

from __future__ import annotations

import math
import sys

import click

from trainci.contracts.files import parse_settings, report, verdicts_apart
from trainci.contracts.limit import USUAL, Limit
from trainci.contracts.tables import DEFAULT
from trainci.errors import EXIT_OK, UsageError

# A timer of every kind takes so much.
_LONGEST_S = 1e6


@click.group("contracts")
def command() -> None:
    """Hold functions that a trainer loads from function paths to their contracts."""


@command.command("check")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="An attribute of args; VALUE as JSON.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=_LONGEST_S),
    default=USUAL.seconds,
    show_default=True,
    metavar="SECONDS",
    help="How long a hook may take to be loaded and called.",
)
def check(settings: tuple[str, ...], timeout: float, **given: str | bool | None) -> int:
    """Load each hook, compare its signature and call it with small samples.

    The current directory is searched for modules first. Needs no GPU, torch or network: without torch, hooks
    that take tensors are held to their signature only, and the verdict says so. Exit code 1 when a hook breaks
    its contract, or does not end in time.
    """
    hooks = {option: str(path) for option in DEFAULT.options if (path := given[_parameter(option)])}
    if not hooks:
        raise UsageError(
            "name a hook, as in --custom-rm-path PKG.MODULE.FUNCTION; `trainci contracts list` has all"
        )
    switches = [switch for switch in DEFAULT.switches if given[_parameter(switch)]]
    if math.isnan(timeout):
        raise UsageError("--timeout: nan is no length of time")
    found = verdicts_apart(DEFAULT, hooks, parse_settings(settings), switches, Limit(timeout))
    return report(found, sys.stdout)


def _parameter(option: str) -> str:
    return option.replace("-", "_")


check.params[:0] = [
    *(click.Option([f"--{option}"], metavar="PKG.MODULE.FUNCTION") for option in DEFAULT.options),
    *(
        click.Option([f"--{switch}"], is_flag=True, help="As under the trainer's own switch.")
        for switch in DEFAULT.switches
    ),
]


@command.command("list")
def list_contracts() -> int:
    """Show the signature of every hook."""
    for contract in DEFAULT.contracts:
        click.echo(f"--{contract.option}" + (f" --{contract.switch}" if contract.switch else ""))
        click.echo(f"    {contract.signature}")
    return EXIT_OK
