"""``trainci run``: select tests, run them on this host's devices, report."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click

from trainci import git, schedule
from trainci.console.actions import GithubConsole
from trainci.console.painter import Painter
from trainci.console.plain import Console
from trainci.errors import EXIT_OK, EXIT_USAGE, MachineError, UsageError
from trainci.executors import DEFAULT, EXECUTORS
from trainci.executors.base import Executor
from trainci.github import actions as github
from trainci.history import past
from trainci.history.event_log import EventLog
from trainci.history.keeper import Keeper
from trainci.history.store import Past
from trainci.host.clock import steady_time
from trainci.model.device import Pool
from trainci.model.project import Project
from trainci.model.run import Run
from trainci.model.selection import Selection
from trainci.paths import RunPaths, StatePaths
from trainci.reports import summary
from trainci.reports.junit import write_junit
from trainci.repository import Repository, Request, open_repository
from trainci.runner import Plan, Runner
from trainci.schedule import Fitting
from trainci.text import counted, printable

_SHORTEST_SECRET = 4


@dataclass(frozen=True)
class _Options:
    """The command line, word for word. ``timeout`` is in seconds."""

    selectors: tuple[str, ...]
    ids: tuple[str, ...]
    changed: bool
    base: str
    dry_run: bool
    devices: str
    executor: str
    fail_fast: bool
    timeout: float | None
    junit: Path | None


@click.command("run")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...")
@click.option(
    "--id",
    "ids",
    multiple=True,
    metavar="TEST_ID",
    help="Exactly this test (or several, one a line), as `trainci list` names it.",
)
@click.option("--changed", is_flag=True, help="Only tests that differ from the base branch.")
@click.option("--base", default="", metavar="REF", help="What --changed compares with; origin/<base> by default.")
@click.option("--dry-run", is_flag=True, help="Print what would run, why, and by which command; start nothing.")
@click.option("--devices", default="auto", metavar="auto|cpu:N|0,1", help="Which devices may be used.")
@click.option(
    "--executor",
    type=click.Choice(list(EXECUTORS)),
    default=DEFAULT,
    show_default=True,
    help="What runs the tests.",
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first test that does not pass.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="For every test.")
@click.option(
    "--junit", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a JUnit report."
)
def command(**given: Any) -> int:
    """Run tests.

    A SELECTOR is a label (run-ci-short), a suite (short), a test file, a test id or a glob ('tests/test_q*.py').
    """
    options = _Options(**given)
    if options.junit is not None and not options.dry_run:
        _remove_earlier(options.junit)
    repository = open_repository()
    selected = _select(repository, options)
    executor = EXECUTORS[options.executor](repository.root, options.devices, _secrets(repository))
    feasible = schedule.fit(selected, executor.pool)
    if options.dry_run:
        return _print_plan(selected, feasible, executor)
    if selected.is_empty:
        click.echo(selected.note)
        _report_nothing(repository, executor, options)
        return EXIT_OK
    run, error = _run(repository, feasible, executor, options)
    _report(run, repository.root, options.junit)
    if error is not None:
        raise error
    return run.exit_code


def _select(repository: Repository, options: _Options) -> Selection:
    request = Request(
        selectors=repository.from_root(options.selectors),
        # No id holds a newline, so one value may name several: a matrix has one for each of its jobs.
        ids=tuple(test_id for value in options.ids for test_id in value.split("\n")),
        changed=options.changed,
        base=options.base,
        timeout=options.timeout,
    )
    if not (request.selectors or request.ids or request.changed):
        raise UsageError(
            "nothing is selected. Name a label, suite, file, id or glob (see `trainci list`), or --changed."
        )
    selected = repository.select(request)
    for sentence in selected.unseen:
        click.echo(github.inert(sentence), err=True)
    if selected.is_empty and not selected.note:
        raise UsageError(f"{', '.join(request.selectors)}: no test is registered there. Add one to trainci.toml.")
    return selected


def _run(
    repository: Repository, feasible: Fitting, executor: Executor, options: _Options
) -> tuple[Run, Exception | None]:
    """The finished run, and what went wrong where it was painted, which ends no run."""
    notes = _short_secrets(repository)
    notes += [f"python: {shlex.join(python)}" for python in _pythons(feasible)]
    with closing(executor):
        executor.open()
        state, run_id = _make_room(repository.root, notes.append)
        plan = _plan(repository, feasible, executor, state, run_id, options, notes.append)
        paths = RunPaths(state, run_id)
        painter = Painter(_console(repository.root, plan, executor.pool))
        log, keeper = EventLog(paths, painter.note), Keeper(state, run_id, painter.note)
        runner = Runner(plan, executor, paths, (log, keeper, painter), painter, steady_time)
        with _interrupting(runner, painter), painter:
            for note in notes:
                painter.note(note)
            with closing(log), closing(keeper):
                run = runner.run()
            painter.summary(run, repository.root)
    return run, painter.error


def _pythons(feasible: Fitting) -> Iterable[tuple[str, ...]]:
    return dict.fromkeys(item.test.python for item in feasible.selection.tests)


def _make_room(root: Path, say: Callable[[str], object]) -> tuple[StatePaths, str]:
    """Where the run keeps its files, and its name. A repository that cannot be written has them elsewhere.

    :raises UsageError: something stands in their place.
    """
    run_id = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(3)
    state = StatePaths(root)
    state.check()
    try:
        state.create()
        RunPaths(state, run_id).directory.mkdir()
    except OSError as error:
        state = StatePaths(root, Path(tempfile.mkdtemp(prefix="trainci-")))
        say(
            f".trainci cannot be written ({error.strerror}): this run is not kept in the history; its logs are in "
            f"{RunPaths(state, run_id).directory}"
        )
    return state, run_id


def _secrets(repository: Repository) -> list[str]:
    """The values of what is named as a secret anywhere, as far as this job has them."""
    names = _secret_names(repository.project)
    return [value for name in names if len(value := os.environ.get(name, "")) >= _SHORTEST_SECRET]


def _secret_names(project: Project) -> list[str]:
    entries = [part for entry in project.registered_entries for part in (entry, *entry.steps)]
    return sorted({name for settings in (project, *project.suites, *entries) for name in settings.secrets})


def _short_secrets(repository: Repository) -> list[str]:
    """What is to be said of secrets that would mask half of the output."""
    short = [
        name for name in _secret_names(repository.project) if 0 < len(os.environ.get(name, "")) < _SHORTEST_SECRET
    ]
    return [f"not masked, shorter than {_SHORTEST_SECRET} characters: {', '.join(short)}"] if short else []


def _plan(
    repository: Repository,
    feasible: Fitting,
    executor: Executor,
    state: StatePaths,
    run_id: str,
    options: _Options,
    say: Callable[[str], object],
) -> Plan:
    ids = [item.test.id for item in feasible.selection.tests]
    return Plan(
        run_id=run_id,
        commit=git.head(repository.root),
        fitting=feasible,
        expected=_expected(feasible, past(state, ids, say)),
        replay={test_id: _replay(test_id, executor, options) for test_id in ids},
        fail_fast=options.fail_fast,
        verdicts=repository.project.verdicts,
    )


def _expected(feasible: Fitting, history: Mapping[str, Past]) -> dict[str, float]:
    """How many seconds each test took so far, else what its registration expects."""
    tests = [item.test for item in feasible.selection.tests]
    said = {test.id: test.expected for test in tests if test.expected is not None}
    return said | {test_id: known.median for test_id, known in history.items() if known.median is not None}


def _report(run: Run, root: Path, junit: Path | None) -> None:
    """Write each report; one that cannot be written is told, and neither the others nor the exit code heed it."""
    try:
        github.write_summary(summary.markdown(run), os.environ)
    except MachineError as error:
        click.echo(f"trainci: {error}", err=True)
    if junit is not None:
        try:
            write_junit(run, root, junit)
        except OSError as error:
            click.echo(
                f"trainci: {printable(str(junit))}: the report cannot be written: {error.strerror}", err=True
            )


def _report_nothing(repository: Repository, executor: Executor, options: _Options) -> None:
    now = steady_time()
    commit = git.head(repository.root)
    _report(Run("", commit, now, now, (), executor.pool.sentence, EXIT_OK), repository.root, options.junit)


def _remove_earlier(junit: Path) -> None:
    """A report of an earlier run must not stand for this one, however this one ends.

    :raises UsageError: something is there that is no file of ours to remove.
    """
    try:
        junit.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UsageError(
            f"--junit {printable(str(junit))}: what is there cannot be replaced: {error.strerror}."
        ) from None


def _print_plan(selected: Selection, feasible: Fitting, executor: Executor) -> int:
    elsewhere = {item.test_id: f"    not on this host: it {item.sentence}" for item in feasible.too_large}
    elsewhere |= {item.test_id: f"    skipped on this host: it {item.sentence}" for item in feasible.skipped}
    elsewhere |= {item.test_id: f"    skipped, {printable(item.sentence)}" for item in feasible.disabled}
    for item in selected.tests:
        test = item.test
        click.echo(f"{test.id}\n    because: {item.reason}")
        click.echo(
            f"    devices: {test.num_gpus}, time limit {test.timeout:g} s\n    command: {executor.command(test)}"
        )
        if test.id in elsewhere:
            click.echo(elsewhere[test.id])
    for refused in selected.refused:
        click.echo(f"{refused.test_id}\n    refused: {refused.sentence}")
    click.echo(selected.note or f"{counted(len(selected.tests), 'test')} selected. Nothing was started.")
    return EXIT_USAGE if selected.refused else EXIT_OK


def _replay(test_id: str, executor: Executor, options: _Options) -> str:
    limit = () if options.timeout is None else ("--timeout", f"{options.timeout:g}")
    # An id that narrowed a suite is a test as that suite has it.
    suites = options.selectors if options.ids else ()
    return shlex.join(["trainci", "run", *suites, "--id", test_id, *executor.options, *limit])


def _console(root: Path, plan: Plan, pool: Pool) -> Console:
    if github.in_actions(os.environ):
        return GithubConsole(sys.stdout, steady_time, root, secrets.token_hex(16))
    if sys.stdout.isatty():
        from trainci.console.live import LiveConsole

        return LiveConsole(sys.stdout, steady_time, plan.fitting.selection, pool, plan.expected)
    return Console(sys.stdout, steady_time, skips=_is_nothing(sys.stdout))


def _is_nothing(stream: TextIO) -> bool:
    """Whether it is /dev/null, where nobody misses a line."""
    try:
        return os.fstat(stream.fileno()).st_rdev == Path(os.devnull).stat().st_rdev
    except OSError:
        return False


@contextmanager
def _interrupting(runner: Runner, painter: Painter) -> Iterator[None]:
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
