"""``trainci stacks``: where the processes of running tests are."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from trainci.commands.run.secret_values import secret_values
from trainci.errors import EXIT_OK, UsageError
from trainci.history.under_way import UnderWay, under_way
from trainci.host.processes import variable
from trainci.looks.native import with_native_frames
from trainci.looks.report import lines_of
from trainci.looks.taking import look
from trainci.output.redaction import redact
from trainci.paths import RunPaths
from trainci.repository import open_repository
from trainci.text import listed, printable
from trainci.verdict.who_hung import where


@click.command("stacks")
@click.argument("test_id", required=False, metavar="[TEST]")
def command(test_id: str | None) -> int:
    """Look at a running test: the stacks of its Python processes, and what each rank's collectives wait for.

    TEST is as `trainci list` shows it; without it every test is looked at that runs here.
    """
    repository = open_repository()
    found = under_way(repository.state)
    wanted = None if test_id is None else repository.typed_ids([test_id])[0]
    chosen = [each for each in found if wanted in (None, each.test_id)]
    if not chosen:
        raise UsageError(_nothing(found, test_id))
    secrets = secret_values(repository)
    for each in chosen:
        click.echo(redact("\n".join(_lines(each)), secrets))
    return EXIT_OK


def _nothing(found: Sequence[UnderWay], test_id: str | None) -> str:
    runs = f"what runs is {listed([each.test_id for each in found])}" if found else "no test runs"
    return f"{runs} in this repository." if test_id is None else f"{printable(test_id)} does not run; {runs} here."


def _lines(each: UnderWay) -> list[str]:
    head = f"{printable(each.test_id)}, attempt {each.attempt}"
    # The number may be another process's by now, or one of another host.
    if variable(each.pid, "TRAINCI_TEST_ID") != each.test_id.encode("utf-8", "surrogateescape"):
        return [f"{head}: its processes are not of this host, or have ended"]
    seen = with_native_frames(look(each.pid, RunPaths.probe(each.log), time.monotonic()))
    return [f"{head}: {where(seen)}", *(f"    {line}" for line in lines_of(seen))]
