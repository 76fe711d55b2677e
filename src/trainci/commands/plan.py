"""``trainci plan``: what an event of GitHub would start and why, or the changed tests as a job's matrix."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import click

from trainci.adopt.differences import other_rules
from trainci.adopt.tree import repository_tree
from trainci.answers.form import text_of
from trainci.answers.values import ChangedTest, Planned, RefusedTest, SuiteDecision
from trainci.commands.run.secret_values import secret_values
from trainci.errors import EXIT_OK, UsageError
from trainci.github import actions as github
from trainci.github import payload, triggers
from trainci.github.workflows import matrix
from trainci.github.workflows.jobs import varies
from trainci.history import known_past
from trainci.model.selection import Selection
from trainci.output.redaction import Redactor
from trainci.repository import Repository, Request, open_repository


@click.command("plan")
@click.option("--event", type=click.Path(path_type=Path), metavar="FILE", help="The payload of an event, as JSON.")
@click.option(
    "--event-name", default="", metavar="NAME", help="pull_request, push, …; told from the payload if not given."
)
@click.option("--changed", is_flag=True, help="The tests that differ from the base branch.")
@click.option(
    "--base",
    default="",
    metavar="REF",
    help="What changes are compared with; else what the event says, or origin/<base>.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "github"]),
    default="text",
    help="github: write suites=, or matrix= and has_tests=, to $GITHUB_OUTPUT, or to standard output.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object (docs/json.md).")
def command(event: Path | None, event_name: str, changed: bool, base: str, form: str, as_json: bool) -> int:
    """Say which suites an event would start and why, or list the changed tests. Starts nothing."""
    if (event is None) == (not changed):
        raise UsageError("say either --event FILE or --changed.")
    form = "json" if as_json else form
    return _plan_changed(base, form) if event is None else _plan_event(event, event_name, base, form)


def _plan_event(event: Path, event_name: str, base: str, form: str) -> int:
    repository = open_repository()
    trigger = payload.read_trigger(event, event_name)
    if trigger.name in ("pull_request", "push") and any(map(triggers.is_narrowed, repository.project.suites)):
        changed = repository.changed_files(base or payload.compared_with(event))
        trigger = dataclasses.replace(trigger, changed=changed)
    decisions = triggers.decide(repository.project, trigger)
    if form == "json":
        notes = other_rules(repository_tree(repository.root), repository.project.base)
        suites = tuple(SuiteDecision(one.suite.name, one.runs, one.reason) for one in decisions)
        click.echo(text_of(Planned(suites, (), (), tuple(map(str, notes)))))
        return EXIT_OK
    width = max((len(decision.suite.name) for decision in decisions), default=0)
    in_job = form == "github"
    for decision in decisions:
        line = f"{'run ' if decision.runs else 'skip'}  {decision.suite.name:<{width}}  {decision.reason}"
        click.echo(github.inert(line), err=in_job)
    click.echo(f"{sum(decision.runs for decision in decisions)} of {len(decisions)} suites would run.", err=in_job)
    if not in_job:
        for note in other_rules(repository_tree(repository.root), repository.project.base):
            click.echo(str(note))
    else:
        names = [decision.suite.name for decision in decisions if decision.runs]
        github.write_outputs({"suites": json.dumps(names)}, os.environ)
    return EXIT_OK


def _plan_changed(base: str, form: str) -> int:
    repository = open_repository()
    suite = next((suite for suite in repository.project.suites if suite.changed), None)
    request = Request((suite.name,), base=base) if suite else Request(changed=True, base=base)
    selected = repository.select(request)
    mask = Redactor(secret_values(repository)).mask
    if form == "json":
        click.echo(mask(text_of(_changed(selected))))
        return EXIT_OK
    found = [f"changed {item.test.id}: {item.reason}" for item in selected.tests]
    found += [f"refused {refused.test_id}: {refused.sentence}" for refused in selected.refused]
    for line in (*found, *selected.unseen):
        click.echo(github.inert(mask(line)), err=form == "github")
    if selected.note:
        click.echo(selected.note, err=form == "github")
    project = repository.project
    differs = suite is not None and varies(project, suite, selected)
    past = _medians(repository, selected) if suite and suite.shards else {}
    entries = matrix.entries(selected, project.workflow.queue, suite, past, varies=differs)
    if form == "github":
        outputs = {"matrix": json.dumps({"include": entries}), "has_tests": json.dumps(bool(entries))}
        github.write_outputs(outputs, os.environ)
    return EXIT_OK


def _changed(selected: Selection) -> Planned:
    tests = tuple(ChangedTest(item.test.id, item.reason) for item in selected.tests)
    refused = tuple(RefusedTest(refused.test_id, refused.sentence) for refused in selected.refused)
    notes = (*selected.unseen, *([selected.note] if selected.note else []))
    return Planned((), tests, refused, notes)


def _medians(repository: Repository, selected: Selection) -> dict[str, float]:
    """How long each test takes, in seconds, as far as there is a history."""
    past = known_past(repository.state, (item.test.id for item in selected.tests))
    return {test_id: one.median for test_id, one in past.items() if one.median is not None}
