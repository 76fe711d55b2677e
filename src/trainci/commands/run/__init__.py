"""``trainci run``: select tests, run them on this host's devices, report."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from datetime import datetime, timezone
from typing import Any

import click

from trainci import git, schedule
from trainci.commands.run.dry_run import print_plan
from trainci.commands.run.going import go
from trainci.commands.run.kept import Kept, keep, read_kept
from trainci.commands.run.options import Options, flags
from trainci.commands.run.reporting import report, report_nothing
from trainci.commands.run.secret_values import secret_values, short_secrets
from trainci.commands.run.selecting import select
from trainci.commands.run.state import make_room, tidy
from trainci.errors import EXIT_OK, MachineError, UsageError
from trainci.executors.base import Executor, Wanted
from trainci.executors.by_name import DEFAULT, EXECUTORS
from trainci.github import actions as github
from trainci.history.baselines import known_baselines
from trainci.history.keeper import Keeper
from trainci.history.places import Place
from trainci.history.store import Past
from trainci.interpreter import is_missing
from trainci.model.gates import Baseline
from trainci.model.run import Run
from trainci.model.selection import Selection
from trainci.paths import RunPaths
from trainci.plan import ANY_NUMBER, Plan
from trainci.reports import otel
from trainci.repository import Repository, open_repository
from trainci.schedule import Fitting
from trainci.text import counted, printable, shortened
from trainci.verdict.quarantine import excuses


@click.command("run")
@flags
def command(**given: Any) -> int:
    """Run tests.

    A SELECTOR is a label (run-ci-short), a suite (short), a test file, a test id or a glob ('tests/test_q*.py').
    """
    options = Options(**given)
    if options.quiet and options.verbose:
        raise UsageError("-q and -v exclude each other.")
    repository = open_repository()
    if options.attach:
        if options.selectors or options.ids or options.changed or options.dry_run:
            raise UsageError("--attach goes on with a run as it was asked for; name no tests beside it.")
        return _reported(_attach(repository, options), repository, options)
    selected = select(repository, options)
    name = _executor_name(selected, options)
    executor = _executor(repository, name, options.devices, options.nodes, selected)
    feasible = schedule.fit(selected, executor.pool)
    if options.dry_run:
        return print_plan(selected, feasible, executor, options.as_json, secret_values(repository))
    if selected.is_empty:
        click.echo(selected.note, err=options.as_json)
        report_nothing(repository, executor, options)
        return EXIT_OK
    return _reported(_run(repository, feasible, name, executor, options), repository, options)


def _reported(ended: tuple[Run, Exception | None], repository: Repository, options: Options) -> int:
    run, error = ended
    report(run, repository.root, options)
    tidy(repository)
    if error is not None:
        raise error
    return run.exit_code


def _executor_name(selected: Selection, options: Options) -> str:
    """What the command line names, else what all of the tests do.

    :raises UsageError: they name several.
    """
    named = {item.test.executor or DEFAULT for item in selected.tests} or {DEFAULT}
    if options.executor is None and len(named) > 1:
        raise UsageError(
            f"the tests name several executors ({', '.join(sorted(named))}). Choose one with --executor."
        )
    return options.executor or named.pop()


def _executor(repository: Repository, name: str, devices: str, nodes: int, selected: Selection) -> Executor:
    project = repository.project
    wanted = Wanted(
        root=repository.root,
        devices=devices,
        nodes=nodes,
        secrets=secret_values(repository),
        max_gpus=project.max_gpus,
        slurm=project.slurm,
        ray_address=project.ray_address,
        tests=[item.test for item in selected.tests],
    )
    return EXECUTORS[name](wanted)


def _run(
    repository: Repository, feasible: Fitting, name: str, executor: Executor, options: Options
) -> tuple[Run, Exception | None]:
    """The finished run, and what went wrong where it was painted, which ends no run."""
    place = _place(repository)
    if otel.is_wanted(os.environ):
        # Without it the run goes on; its end says so.
        with suppress(MachineError):
            otel.load()
    notes = short_secrets(repository)
    notes += [f"python: {shlex.join(python)}" for python in _pythons(feasible)]
    if name == DEFAULT:
        notes += _not_installed(feasible)
        _look_for_pythons(repository, feasible)
    with closing(executor):
        executor.open()
        state, run_id = make_room(repository.state, notes.append)
        kept = _kept(repository, feasible, name, executor, run_id, options)
        keeper = Keeper(state, run_id, notes.append)
        plan = _plan(repository, kept, executor, keeper)
        if executor.outlives:
            keep(kept, RunPaths(state, run_id))
        return go(repository.root, plan, executor, state, options, place, keeper, notes)


def _attach(repository: Repository, options: Options) -> tuple[Run, Exception | None]:
    """Go on with the run that ``--attach`` names, whose runner was killed."""
    state = repository.state
    state.check()
    kept = read_kept(state, options.attach)
    with closing(_executor(repository, kept.executor, kept.devices, 1, kept.fitting.selection)) as executor:
        executor.open()
        keeper = Keeper(state, kept.run_id, click.echo)
        plan = _plan(repository, kept, executor, keeper)
        return go(repository.root, plan, executor, state, options, _place(repository), keeper)


def _place(repository: Repository) -> Place | None:
    """Where the files of runs are sent.

    :raises UsageError: what that needs is not installed.
    """
    return Place(repository.project.artifacts) if repository.project.artifacts else None


def _kept(
    repository: Repository, feasible: Fitting, name: str, executor: Executor, run_id: str, options: Options
) -> Kept:
    """The run as it is asked for now."""
    ids = [item.test.id for item in feasible.selection.tests]
    return Kept(
        run_id=run_id,
        commit=git.head(repository.root),
        fitting=feasible,
        replay=tuple((test_id, _replay(test_id, executor, options)) for test_id in ids),
        fail_fast=options.fail_fast,
        jobs=options.jobs or ANY_NUMBER,
        executor=name,
        devices=options.devices,
    )


def _pythons(feasible: Fitting) -> Iterable[tuple[str, ...]]:
    return dict.fromkeys(item.test.python for item in feasible.selection.tests)


def _not_installed(feasible: Fitting) -> list[str]:
    """What jobs install first and a run by hand does not, which a test then misses."""
    tests = [item.test for item in feasible.selection.tests]
    by_key = {
        "install": dict.fromkeys(test.install for test in tests if test.install),
        "setup": dict.fromkeys(line for test in tests for line in test.setup if "install" in line),
    }
    key, lines = next(((key, list(found)) for key, found in by_key.items() if found), ("", []))
    if not lines or github.in_actions(os.environ):
        return []
    more = f" and {len(lines) - 1} more" if lines[1:] else ""
    return [f"{key}: jobs begin with `{shortened(printable(lines[0]), 100)}`{more}; here nothing is installed"]


def _look_for_pythons(repository: Repository, feasible: Fitting) -> None:
    """Say once, before anything starts, what each test would say by itself.

    :raises UsageError: an interpreter that tests run on is not there.
    """
    tests = [item.test for item in feasible.selection.tests]
    on_it = [test for test in tests if test.command[: len(test.python)] == test.python]
    for python in dict.fromkeys(test.python for test in on_it):
        if is_missing(python, repository.root, os.environ.get("PATH", os.defpath)):
            count = counted(sum(test.python == python for test in on_it), "test")
            raise UsageError(
                f"python: {printable(python[0])} is not there, and {count} would run on it. Make that environment, "
                f"or name another: python = … in {repository.project.config_file}."
            )


def _plan(repository: Repository, kept: Kept, executor: Executor, keeper: Keeper) -> Plan:
    """The run as it was asked for, with what is known by now."""
    ids = [item.test.id for item in kept.fitting.selection.tests]
    return Plan(
        run_id=kept.run_id,
        commit=kept.commit,
        on_base=git.is_on(repository.root, kept.commit, repository.project.base),
        images=_images(repository, kept.fitting, executor),
        baselines=_baselines(repository, kept.fitting, keeper),
        fitting=kept.fitting,
        expected=_expected(kept.fitting, keeper.past(ids)),
        replay=dict(kept.replay),
        fail_fast=kept.fail_fast,
        jobs=kept.jobs,
        verdicts=repository.project.verdicts,
        excuses=_excuses(repository, ids),
        host=socket.gethostname(),
    )


def _images(repository: Repository, feasible: Fitting, executor: Executor) -> dict[str, str]:
    """The container image that each test runs in, as far as it is known to run in one."""
    contained = github.in_actions(os.environ) or (executor.pool.engine and repository.project.slurm.container)
    return {item.test.id: item.test.image for item in feasible.selection.tests if contained}


def _baselines(repository: Repository, feasible: Fitting, keeper: Keeper) -> dict[str, Baseline]:
    tests = [item.test for item in feasible.selection.tests]
    return known_baselines(keeper, tests, repository.project.base)


def _excuses(repository: Repository, ids: Iterable[str]) -> dict[str, str]:
    return excuses(repository.project.quarantine, ids, datetime.now(timezone.utc).date().isoformat())


def _expected(feasible: Fitting, history: Mapping[str, Past]) -> dict[str, float]:
    """How many seconds each test took so far, else what its registration expects."""
    tests = [item.test for item in feasible.selection.tests]
    said = {test.id: test.expected for test in tests if test.expected is not None}
    return said | {test_id: known.median for test_id, known in history.items() if known.median is not None}


def _replay(test_id: str, executor: Executor, options: Options) -> str:
    limit = () if options.timeout is None else ("--timeout", f"{options.timeout:g}")
    # An id that narrowed a suite is a test as that suite has it.
    suites = options.selectors if options.ids else ()
    here = ("--executor", DEFAULT) if options.executor == DEFAULT else ()
    return shlex.join(["trainci", "run", *suites, "--id", test_id, *here, *executor.options, *limit])
