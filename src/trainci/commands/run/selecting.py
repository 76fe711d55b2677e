"""Which tests a command line of ``trainci run`` asks for."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

from trainci.commands.run.options import Options
from trainci.commands.run.secret_values import real_ids, secret_values, without_secrets
from trainci.errors import UsageError
from trainci.github import actions as github
from trainci.history import known_past
from trainci.model.project import Suite
from trainci.model.run import Outcome
from trainci.model.selection import Selection
from trainci.output.redaction import Redactor, redact
from trainci.repository import Repository, Request
from trainci.selection.choose import suite_choices
from trainci.selection.narrow import matching, narrowed, one_of
from trainci.text import columns, counted, printable

# What a test ended as, where it need not be run again.
_FINE = (Outcome.PASSED.value, Outcome.FLAKY.value, Outcome.SKIPPED.value)


def select(repository: Repository, options: Options) -> Selection:
    """The tests that ``options`` ask for, no secret in what is shown of them.

    :raises UsageError: they name none, or what is there is none.
    """
    secrets = secret_values(repository)
    try:
        return without_secrets(_select(repository, options, secrets), secrets)
    except UsageError as error:
        raise UsageError(redact(str(error), secrets)) from None


def _select(repository: Repository, options: Options, secrets: Sequence[str]) -> Selection:
    # No id holds a newline, so one value may name several: a matrix has one for each of its jobs.
    ids = tuple(test_id for value in options.ids for test_id in value.split("\n"))
    ids = repository.ids(real_ids(repository, ids, secrets))
    selectors = repository.from_root(real_ids(repository, options.selectors, secrets))
    narrows = options.keywords is not None or options.last_failed
    if not (selectors or ids or options.changed):
        if not narrows:
            raise UsageError(_offer(repository))
        ids = repository.everything()
    request = Request(selectors, ids, options.changed, options.base, options.timeout)
    selected = repository.select(request)
    for sentence in selected.unseen:
        click.echo(github.inert(sentence), err=True)
    if selected.is_empty and not selected.note:
        raise UsageError(f"{', '.join(request.selectors)}: no test is registered there. Add one to trainci.toml.")
    if options.last_failed and not selected.is_empty:
        left = one_of(_not_passed(repository, selected, secrets))
        selected = narrowed(selected, left, "Every test that was named passed when it ran last: nothing to run.")
    if options.keywords is not None and not selected.is_empty:
        selected = narrowed(selected, matching(options.keywords), "")
        if selected.is_empty:
            raise UsageError(f"-k {shlex.quote(printable(options.keywords))}: no test that was named matches.")
    return selected


def _not_passed(repository: Repository, selected: Selection, secrets: Sequence[str]) -> set[str]:
    """Those that did not pass when they ran last, and those of which no run is known."""
    mask = Redactor(secrets).mask
    ids = [*(item.test.id for item in selected.tests), *(refused.test_id for refused in selected.refused)]
    past = known_past(repository.state, map(mask, ids))
    fine = {test_id for test_id, known in past.items() if known.outcome in _FINE}
    return {test_id for test_id in ids if mask(test_id) not in fine}


def _offer(repository: Repository) -> str:
    """What could have been named."""
    suites = repository.project.suites
    if not suites:
        return "nothing is selected, and trainci.toml has no suite yet. Name a test file, folder or glob."
    rows = [(f"  trainci run {suite.name}", f"label {suite.label}", _size(repository, suite)) for suite in suites]
    return "\n".join(
        [
            "nothing is selected. Name a suite, as in",
            *columns(rows),
            "or a file, folder, id or glob (see `trainci list`), or --changed, --last-failed, -k.",
        ]
    )


def _size(repository: Repository, suite: Suite) -> str:
    if suite.changed:
        return "what differs from the base branch"
    return counted(len({choice.entry.id for choice in suite_choices(repository.project, suite, "")}), "test")
