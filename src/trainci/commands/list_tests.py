"""``trainci list``: the suites and tests of the repository, and how long each took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from trainci.answers.form import text_of
from trainci.answers.values import Listed, ListedSuite, ListedTest
from trainci.commands.completion import complete_tests
from trainci.commands.run.secret_values import secret_values, without_secrets
from trainci.errors import TrainciError
from trainci.history import known_past
from trainci.history.store import Past
from trainci.model.project import Suite
from trainci.model.selection import Selected, Selection
from trainci.output.redaction import redact
from trainci.paths import from_here
from trainci.reports.words import known_duration
from trainci.repository import Repository, Request, open_repository
from trainci.text import columns, printable


@click.command("list")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_tests)
@click.option("--json", "as_json", is_flag=True, help="One JSON object (docs/json.md).")
def command(selectors: tuple[str, ...], as_json: bool) -> int:
    """Show suites and tests: label, GPUs, time limit, last and median duration, where registered."""
    repository = open_repository()
    secrets = secret_values(repository)
    shown = _named(repository, selectors) if selectors else _everything(repository)
    groups = [(group, without_secrets(selection, secrets)) for group, selection in shown]
    past = _past(repository, [item for _, selection in groups for item in selection.tests])
    answer = Listed(tuple(_suite(group, selection, past) for group, selection in groups))
    click.echo(redact(text_of(answer) if as_json else "\n".join(_text(answer, repository.root)), secrets))
    return 0


def _past(repository: Repository, selected: list[Selected]) -> Mapping[str, Past]:
    """The durations are an extra: what there is to run is shown without them, too."""
    try:
        return known_past(repository.state, dict.fromkeys(item.test.id for item in selected))
    except (TrainciError, OSError) as error:
        click.echo(f"without durations: {error}", err=True)
        return {}


# A suite, or the name of tests that are none, with what is selected of it.
_Group = tuple[Suite | str, Selection]


def _everything(repository: Repository) -> list[_Group]:
    project = repository.project
    groups = [_group(repository, suite) for suite in project.suites]
    started = project.started_files
    loose = [file for file in repository.files if file not in started]
    if loose:
        groups.append(("not registered in any suite", repository.select(Request(tuple(loose)))))
    return groups


def _named(repository: Repository, selectors: tuple[str, ...]) -> list[_Group]:
    wanted = repository.from_root(selectors)
    suites = [s for s in repository.project.suites if {s.name, s.label} & set(wanted)]
    groups = [_group(repository, suite) for suite in suites]
    names = {name for suite in suites for name in (suite.name, suite.label)}
    rest = [selector for selector in wanted if selector not in names]
    if rest:
        groups.append(("selected", repository.select(Request(tuple(rest)))))
    return groups


def _group(repository: Repository, suite: Suite) -> _Group:
    return suite, Selection() if suite.changed else repository.select(Request((suite.name,)))


def _starts(suite: Suite) -> str:
    starts = "always" if suite.always else f"label {suite.label}"
    starts += f", for {', '.join(suite.branches)}" if suite.branches else ""
    starts += ", by its paths" if suite.paths or suite.paths_ignore else ""
    return starts + ("" if suite.drafts else ", no drafts")


def _suite(suite: Suite | str, selection: Selection, past: Mapping[str, Past]) -> ListedSuite:
    tests = tuple(_test(item, past.get(item.test.id, Past())) for item in selection.tests)
    refused = tuple(refused.sentence for refused in selection.refused)
    if isinstance(suite, str):
        return ListedSuite(suite, "", "", "", False, False, tests, refused)
    return ListedSuite(
        suite.name, suite.label, _starts(suite), suite.description, suite.always, suite.changed, tests, refused
    )


def _test(item: Selected, known: Past) -> ListedTest:
    test = item.test
    return ListedTest(
        id=test.id,
        file=test.file,
        num_gpus=test.num_gpus,
        requires_gpu=test.requires_gpu,
        timeout=test.timeout,
        disabled=test.disabled,
        registered_at=test.where,
        last=known.last,
        median=known.median,
        outcome=known.outcome,
    )


def _text(answer: Listed, root: Path) -> list[str]:
    lines: list[str] = []
    for suite in answer.suites:
        said = f"{suite.name}: {suite.starts}" if suite.starts else suite.name
        lines.append(printable(said + (f" — {suite.description}" if suite.description else "")))
        lines += [f"  {line}" for line in (*_rows(suite.tests, root), *_notes(suite))]
    return lines or ["no suite and no test file yet; `trainci check` says where it looks"]


def _notes(suite: ListedSuite) -> list[str]:
    if suite.changed:
        return ["the tests that differ from the base branch; see `trainci run --changed --dry-run`"]
    if not (suite.tests or suite.refused):
        return ["no test yet"]
    return [f"refused: {sentence}" for sentence in suite.refused]


def _rows(tests: tuple[ListedTest, ...], root: Path) -> list[str]:
    if not tests:
        return []
    header = ("TEST", "GPUS", "LIMIT", "LAST", "MEDIAN", "OUTCOME", "REGISTERED")
    rows = [
        (
            test.id,
            f"{test.num_gpus}, GPUs only" if test.requires_gpu else str(test.num_gpus),
            f"{test.timeout / 60:g} min",
            known_duration(test.last),
            known_duration(test.median),
            printable(test.outcome) or "-",
            (from_here(root, test.registered_at) or "no")
            + (printable(f", disabled: {test.disabled}") if test.disabled else ""),
        )
        for test in tests
    ]
    return columns([header, *rows])
