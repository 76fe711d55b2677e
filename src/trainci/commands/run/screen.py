"""Where a run is painted, and who may interrupt it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from trainci.commands.run.options import Options
from trainci.console.actions import GithubConsole
from trainci.console.painter import Painter
from trainci.console.plain import Console
from trainci.github import actions as github
from trainci.host.clock import steady_time
from trainci.model.device import Pool
from trainci.plan import Plan
from trainci.runner import Runner
from trainci.streams import widen


def console(root: Path, plan: Plan, pool: Pool, options: Options) -> Console:
    """What paints the run: as a job of GitHub's shows it, on a terminal, or as plain lines."""
    # What a program reads has standard output for itself.
    stream = sys.stderr if options.as_json else sys.stdout
    with contextlib.suppress(OSError):  # where trainci is called by a program, it may be no file
        widen(stream.fileno())
    if github.in_actions(os.environ):
        folder = github.folder(root, os.environ)
        job = GithubConsole(stream, steady_time, root, secrets.token_hex(16), folder)
        job.whole = options.verbose
        return job
    if stream.isatty():
        from trainci.console.live import LiveConsole

        selection = plan.fitting.selection
        painted: Console = LiveConsole(stream, steady_time, selection, pool, plan.expected)
    else:
        painted = Console(stream, steady_time, skips=_is_nothing(stream))
    painted.quiet = options.quiet
    painted.whole = options.verbose
    painted.skips = painted.skips and not options.verbose
    painted.colors = wants_colors(options.color, os.environ, stream.isatty())
    return painted


def wants_colors(said: str, environment: Mapping[str, str], at_terminal: bool) -> bool:
    """What --color says; ``auto`` obeys NO_COLOR (no-color.org), then FORCE_COLOR (force-color.org)."""
    if said != "auto":
        return said == "always"
    if environment.get("NO_COLOR"):
        return False
    return at_terminal or bool(environment.get("FORCE_COLOR"))


def _is_nothing(stream: TextIO) -> bool:
    """Whether it is /dev/null, where no line is missed."""
    try:
        return os.fstat(stream.fileno()).st_rdev == Path(os.devnull).stat().st_rdev
    except OSError:
        return False


@contextmanager
def interrupting(runner: Runner, painter: Painter) -> Iterator[None]:
    """A ^C, or a cancelled job's SIGTERM, ends the tests and still reports. What is ignored (nohup) stays so."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in signals if signal.getsignal(number) != signal.SIG_IGN]

    def interrupt(*_: object) -> None:
        runner.interrupt()
        painter.hurry()

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
