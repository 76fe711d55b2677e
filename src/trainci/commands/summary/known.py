"""What the repository around and its history know beside the runs that are summed up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trainci import git
from trainci.errors import TrainciError, UsageError
from trainci.github import payload, triggers
from trainci.history import existing_store, known_past
from trainci.history.branch import last_outcomes
from trainci.model.project import Suite, Trigger, job_ids
from trainci.reports.merged import Merged
from trainci.reports.outlook import Base, Cost, cost
from trainci.reports.reason import red
from trainci.repository import Repository, Request, open_repository

_MOST_COMMITS = 500


def repository_here() -> Repository | str:
    """The repository around, or why there is none."""
    try:
        return open_repository()
    except UsageError as error:
        return str(error).partition("\n")[0]


def base_of(
    found: Sequence[Merged],
    repository: Repository | str,
    environment: Mapping[str, str],
    told: tuple[str, Sequence[str]] | None = None,
) -> Base:
    """What the history knows of the red tests of ``found`` on the branch that the change is for.

    ``told`` is that branch with its commits, where somebody else knows them; else the event of the job says which
    it is, and git which commits it has.
    """
    if isinstance(repository, str):
        return Base("", unknown=repository)
    name, commits = told or _base(repository, environment)
    shown = name.removeprefix("origin/")
    if not commits:
        return Base(shown, unknown=f"which commits {shown} has cannot be seen here")
    try:
        with existing_store(repository.state) as store:
            if store is None:
                return Base(shown, unknown="there is no history here")
            return Base(shown, last_outcomes(store, commits, _red_ids(found)))
    except TrainciError as error:
        return Base(shown, unknown=str(error))


def costs(found: Sequence[Merged], repository: Repository | str, trigger: Trigger | None) -> list[Cost]:
    """What each label would cost that would start a suite of which ``found`` has nothing.

    ``trigger`` is the event of the pull request, None where no event is known.
    """
    if isinstance(repository, str):
        return []
    project = repository.project
    begun = {merged.suite for merged in found}
    event = trigger or Trigger("pull_request", branch=f"refs/heads/{project.base}")
    labels = {label.lower() for label in event.labels}
    return [
        _cost(repository, suite)
        for suite in project.suites
        if suite.label and not suite.always and suite.label.lower() not in labels
        if job_ids(suite.name, suite.changed, suite.job)[0] not in begun and suite.name not in begun
        if _would_start(repository, suite, event)
    ]


def event_of(environment: Mapping[str, str]) -> Trigger | None:
    """The pull request's event of this job; None in any other."""
    path = environment.get("GITHUB_EVENT_PATH", "")
    if not path or environment.get("GITHUB_EVENT_NAME") != "pull_request":
        return None
    return payload.read_trigger(Path(path), "pull_request")


def _base(repository: Repository, environment: Mapping[str, str]) -> tuple[str, Sequence[str]]:
    name = payload.base(environment) or f"origin/{repository.project.base}"
    commits = git.commits(repository.root, name, _MOST_COMMITS)
    return name, commits or git.commits(repository.root, name.removeprefix("origin/"), _MOST_COMMITS)


def _red_ids(found: Iterable[Merged]) -> dict[str, None]:
    return dict.fromkeys(result.test_id for merged in found for result in red(merged.run))


def _would_start(repository: Repository, suite: Suite, event: Trigger) -> bool:
    added = replace(event, name="pull_request", action="labeled", label=suite.label)
    return any(one.runs and one.suite == suite for one in triggers.decide(repository.project, added))


def _cost(repository: Repository, suite: Suite) -> Cost:
    if suite.changed:
        return Cost(suite.label, why="its tests are those that the change reaches")
    try:
        tests = [one.test for one in repository.select(Request((suite.name,))).tests]
        past = known_past(repository.state, (test.id for test in tests))
        return cost(suite.label, tests, {test_id: one.median for test_id, one in past.items()})
    except TrainciError as error:
        return Cost(suite.label, why=str(error).partition("\n")[0])
