"""``trainci run``: select tests, run them on this host's devices, report."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from trainci import git, schedule, selection
from trainci.affected import Affected
from trainci.commands._repository import Repository, open_repository
from trainci.console.actions import GithubConsole
from trainci.console.plain import Console
from trainci.errors import EXIT_OK, EXIT_USAGE, MachineError, UsageError
from trainci.executors.local import LocalExecutor
from trainci.github import actions as github
from trainci.history.event_log import EventLog
from trainci.history.sqlite import History
from trainci.host import devices
from trainci.model import Pool, Run, Selection
from trainci.paths import RunPaths, StatePaths
from trainci.reports import summary
from trainci.runner import Plan, Runner
from trainci.schedule import Fitting
from trainci.text import counted, printable


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
@click.option("--devices", "spec", default="auto", metavar="auto|cpu:N|0,1", help="Which devices may be used.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first test that does not pass.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="For every test.")
@click.option(
    "--junit", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a JUnit report."
)
def command(
    selectors: tuple[str, ...],
    ids: tuple[str, ...],
    changed: bool,
    base: str,
    dry_run: bool,
    spec: str,
    fail_fast: bool,
    timeout: float | None,
    junit: Path | None,
) -> int:
    """Run tests.

    A SELECTOR is a label (run-ci-short), a suite (short), a test file, a test id or a glob ('tests/test_q*.py').
    """
    repository = open_repository()
    # No id holds a newline, so one value may name several: a matrix has one for each of its jobs.
    ids = tuple(test_id for value in ids for test_id in value.split("\n"))
    selected = _select(repository, selectors, ids, changed, base, timeout)
    pool = devices.pool(spec)
    executor = LocalExecutor(repository.root, pool)
    fitting = schedule.fit(selected, pool)
    if dry_run:
        return _print_plan(selected, fitting, executor)
    if not selected.tests and not selected.refused:
        click.echo(selected.note)
        return EXIT_OK
    ids_here = _ids(fitting.selection)
    state = StatePaths(repository.root)
    history = History(state)
    expected = {key: past.median for key, past in history.past(ids_here).items() if past.median is not None}
    plan = Plan(
        run_id=time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(3),
        commit=git.head(repository.root),
        fitting=fitting,
        pool=pool,
        cpu_slots=len(os.sched_getaffinity(0)),
        expected=expected,
        replay={test_id: _replay(test_id, spec, timeout) for test_id in ids_here},
        fail_fast=fail_fast,
    )
    paths = RunPaths(state, plan.run_id)
    events = EventLog(paths)
    with _console(repository.root, fitting.selection, pool, expected) as console:
        for cut_off in history.take_cut_off():
            console.note(f"an earlier run was killed during {cut_off.test_id}; its log: {cut_off.log}")
        listeners = (events, history.listener(plan.run_id), console)
        runner = Runner(plan, executor, paths, listeners, time.time)
        with _interrupting(runner):
            run = runner.run()
        console.summary(run, repository.root)
    events.close()
    history.close()
    _report(run, repository.root, junit)
    return run.exit_code


def _select(
    repository: Repository,
    selectors: Sequence[str],
    ids: Sequence[str],
    changed: bool,
    base: str,
    timeout: float | None,
) -> Selection:
    project = repository.project
    wanted = repository.from_root(selectors)
    if not (wanted or ids or changed):
        raise UsageError(
            "nothing is selected. Name a label, suite, file, id or glob (see `trainci list`), or --changed."
        )
    compared = changed or selection.wants_changes(project, wanted)
    affected = repository.changed(base) if compared else Affected({})
    for sentence in affected.notes:
        click.echo(github.inert(sentence), err=True)
    choices = selection.choose(project, wanted, ids, repository.files, affected.tests, only_changed=changed)
    if not choices and not compared:
        raise UsageError(f"{', '.join(wanted)}: no test is registered there. Add one to trainci.toml.")
    declared = repository.declarations({choice.entry.file for choice in choices})
    note = "" if choices else f"No changed tests relative to {base or 'origin/' + project.base}: nothing to run."
    return selection.resolve(project, choices, declared, timeout=timeout, note=note)


def _report(run: Run, root: Path, junit: Path | None) -> None:
    github.write_summary(summary.markdown(run), os.environ)
    if junit is not None:
        from trainci.reports.junit import write_junit

        try:
            write_junit(run, root, junit)
        except OSError as error:
            # Written last: what became of the tests has been said by now, and stays in the history.
            raise MachineError(f"{printable(str(junit))}: the report cannot be written: {error.strerror}") from None


def _ids(selected: Selection) -> list[str]:
    return [item.test.id for item in selected.tests]


def _print_plan(selected: Selection, fitting: Fitting, executor: LocalExecutor) -> int:
    elsewhere = {item.test_id: f"    not on this host: it {item.sentence}" for item in fitting.too_large}
    elsewhere |= {item.test_id: f"    skipped on this host: it {item.sentence}" for item in fitting.skipped}
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


def _replay(test_id: str, spec: str, timeout: float | None) -> str:
    limit = () if timeout is None else ("--timeout", f"{timeout:g}")
    return shlex.join(["trainci", "run", "--id", test_id, "--devices", spec, *limit])


def _console(root: Path, selected: Selection, pool: Pool, expected: Mapping[str, float]) -> Console:
    if github.in_actions(os.environ):
        return GithubConsole(sys.stdout, time.time, root, secrets.token_hex(16))
    if sys.stdout.isatty():
        from trainci.console.live import LiveConsole

        return LiveConsole(sys.stdout, time.time, selected, pool, expected)
    return Console(sys.stdout, time.time)


@contextmanager
def _interrupting(runner: Runner) -> Iterator[None]:
    """A ^C, or a cancelled job's SIGTERM, ends the tests and still reports."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: runner.interrupt()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
