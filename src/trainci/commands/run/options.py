"""The flags of ``trainci run``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import click

from trainci.commands.completion import complete_tests
from trainci.executors.by_name import DEFAULT, EXECUTORS


@dataclass(frozen=True)
class Options:
    """The command line, word for word. ``timeout`` is in seconds."""

    selectors: tuple[str, ...]
    ids: tuple[str, ...]
    changed: bool
    base: str
    dry_run: bool
    devices: str
    executor: str | None
    fail_fast: bool
    timeout: float | None
    junit: Path | None
    keywords: str | None
    last_failed: bool
    jobs: int | None
    quiet: bool
    verbose: bool
    color: str
    as_json: bool
    attach: str
    nodes: int


_FLAGS: tuple[Callable[[Any], Any], ...] = (
    click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_tests),
    click.option(
        "--id",
        "ids",
        multiple=True,
        metavar="TEST_ID",
        shell_complete=complete_tests,
        help="Exactly this test (or several, one a line), as `trainci list` names it.",
    ),
    click.option(
        "-k", "keywords", metavar="EXPRESSION", help="Only tests whose id matches: parts of ids, and, or, not, ()."
    ),
    click.option(
        "--last-failed",
        "--lf",
        "last_failed",
        is_flag=True,
        help="Only tests that did not pass last, or never ran.",
    ),
    click.option("--changed", is_flag=True, help="Only tests that differ from the base branch."),
    click.option(
        "--base", default="", metavar="REF", help="What --changed compares with; origin/<base> by default."
    ),
    click.option(
        "--attach",
        default="",
        metavar="RUN",
        help="Go on with a run whose client was killed, and whose jobs live on.",
    ),
    click.option("--dry-run", is_flag=True, help="Print what would run, why, and by which command; start nothing."),
    click.option("--devices", default="auto", metavar="auto|cpu:N|0,1", help="Which devices may be used."),
    click.option(
        "--nodes",
        type=click.IntRange(min=1),
        default=1,
        metavar="N",
        help="With --devices cpu:M: so many virtual nodes of M virtual devices, on this host.",
    ),
    click.option(
        "--executor",
        type=click.Choice(list(EXECUTORS)),
        help=f"What runs the tests: what trainci.toml says of them, else {DEFAULT}.",
    ),
    click.option(
        "--fail-fast",
        "--exitfirst",
        "-x",
        "fail_fast",
        is_flag=True,
        help="Stop at the first test that does not pass.",
    ),
    click.option(
        "-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="So many tests at once, if devices allow."
    ),
    click.option(
        "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="For every test."
    ),
    click.option(
        "--junit", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a JUnit report."
    ),
    click.option("-q", "--quiet", is_flag=True, help="Print what did not pass, and the last line."),
    click.option("-v", "--verbose", is_flag=True, help="Print all that tests print, however much it is."),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="auto: on a terminal, as NO_COLOR and FORCE_COLOR have it.",
    ),
    click.option(
        "--json", "as_json", is_flag=True, help="Print the finished run as one JSON object; the rest to stderr."
    ),
)


def flags(command: Callable[..., int]) -> Callable[..., int]:
    """The flags, on the function of the command, which is called with the fields of ``Options``."""
    return reduce(lambda flagged, flag: flag(flagged), reversed(_FLAGS), command)
