"""``trainci lease``, reached through the command line's one callable; the console script takes a shorter way."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from trainci.lease.command import main as lease
from trainci.lease.options import parse


class _Lease(click.Command):
    """Its options are the lease's own, so click does not know them."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Those that begin so."""
        flags = dict.fromkeys(word for word in parse(["--help"]).help.split() if word.startswith("--"))
        return [CompletionItem(flag) for flag in flags if flag.startswith(incomplete) and flag != "--"]


@click.command("lease", cls=_Lease, context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument(
    "arguments", nargs=-1, type=click.UNPROCESSED, shell_complete=lambda *_: [CompletionItem("", "file")]
)
def command(arguments: tuple[str, ...]) -> int:
    """Run a command on leased GPUs of this host."""
    return lease(list(arguments))
