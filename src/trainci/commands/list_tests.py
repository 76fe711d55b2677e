"""``trainci list``: the suites and tests of the repository, and how long each took."""

from __future__ import annotations

import click

from trainci.commands.completion import complete_tests
from trainci.errors import MachineError
from trainci.history import open_existing
from trainci.history.store import Past, Store
from trainci.model.project import Suite
from trainci.model.selection import Selected
from trainci.paths import StatePaths
from trainci.repository import Repository, Request, open_repository
from trainci.text import columns, printable


@click.command("list")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_tests)
def command(selectors: tuple[str, ...]) -> int:
    """Show suites and tests: label, GPUs, time limit, last and median duration, where registered."""
    repository = open_repository()
    history = _history(repository)
    groups = _named(repository, selectors) if selectors else _everything(repository)
    for title, selected, notes in groups:
        click.echo(title)
        past = _past(history, selected)
        for line in _rows(selected, past):
            click.echo(f"  {line}")
        for note in notes:
            click.echo(f"  {note}")
    return 0


def _past(history: Store | None, selected: tuple[Selected, ...]) -> dict[str, Past]:
    try:
        return history.past(item.test.id for item in selected) if history else {}
    except MachineError as error:
        click.echo(f"without durations: {error}", err=True)
        return {}


def _history(repository: Repository) -> Store | None:
    """The durations are an extra: what there is to run is shown without them, too."""
    try:
        return open_existing(StatePaths(repository.root))
    except (MachineError, OSError) as error:
        click.echo(f"without durations: {error}", err=True)
        return None


_Group = tuple[str, tuple[Selected, ...], list[str]]


def _everything(repository: Repository) -> list[_Group]:
    project = repository.project
    groups = [_group(repository, suite) for suite in project.suites]
    started = project.started_files
    loose = [file for file in repository.files if file not in started]
    if loose:
        groups.append(_selected(repository, "not registered in any suite", loose))
    return groups or [("no suite and no test file yet; `trainci check` says where it looks", (), [])]


def _named(repository: Repository, selectors: tuple[str, ...]) -> list[_Group]:
    wanted = repository.from_root(selectors)
    suites = [s for s in repository.project.suites if {s.name, s.label} & set(wanted)]
    groups = [_group(repository, suite) for suite in suites]
    names = {name for suite in suites for name in (suite.name, suite.label)}
    rest = [selector for selector in wanted if selector not in names]
    if rest:
        groups.append(_selected(repository, "selected", rest))
    return groups


def _group(repository: Repository, suite: Suite) -> _Group:
    starts = "always" if suite.always else f"label {suite.label}"
    starts += f", for {', '.join(suite.branches)}" if suite.branches else ""
    starts += ", by its paths" if suite.paths or suite.paths_ignore else ""
    starts += "" if suite.drafts else ", no drafts"
    title = printable(f"{suite.name}: {starts}" + (f" — {suite.description}" if suite.description else ""))
    if suite.changed:
        return title, (), ["the tests that differ from the base branch; see `trainci run --changed --dry-run`"]
    return _selected(repository, title, [suite.name])


def _selected(repository: Repository, title: str, selectors: list[str]) -> _Group:
    selection = repository.select(Request(tuple(selectors)))
    notes = [f"refused: {refused.sentence}" for refused in selection.refused]
    return title, selection.tests, ["no test yet"] if selection.is_empty else notes


def _rows(selected: tuple[Selected, ...], past: dict[str, Past]) -> list[str]:
    if not selected:
        return []
    header = ("TEST", "GPUS", "LIMIT", "LAST", "MEDIAN", "OUTCOME", "REGISTERED")
    rows = [header]
    for item in selected:
        test, known = item.test, past.get(item.test.id, Past())
        where = (test.where or "no") + (printable(f", disabled: {test.disabled}") if test.disabled else "")
        limit = f"{test.timeout / 60:g} min"
        rows.append(
            (
                test.id,
                f"{test.num_gpus}, GPUs only" if test.requires_gpu else str(test.num_gpus),
                limit,
                _seconds(known.last),
                _seconds(known.median),
                printable(known.outcome) or "-",
                where,
            )
        )
    return columns(rows)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
