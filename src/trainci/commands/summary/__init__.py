"""``trainci summary``: the runs of several jobs as one, on a job's page or as a pull request's comment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from trainci.commands.summary.known import base_of, costs, event_of, repository_here
from trainci.config import find_root, load
from trainci.errors import EXIT_OK, UsageError
from trainci.github import actions as github
from trainci.github import comments
from trainci.history.places import fetched
from trainci.history.runs import find_run, read_run, runs_below
from trainci.model.run import Run
from trainci.paths import state_paths
from trainci.reports.merged import Merged, markdown, merge, one_line, suite_of
from trainci.text import printable


@click.command("summary")
@click.argument("folders", nargs=-1, required=True, metavar="RUN...|DIR...")
@click.option("--suite", "suites", multiple=True, metavar="NAME", help="Only this suite (or several).")
@click.option("--comment", is_flag=True, help="Keep the pull request's comment current (docs/security.md).")
def command(folders: tuple[str, ...], suites: tuple[str, ...], comment: bool) -> int:
    """Merge the runs of several jobs, such as those of a matrix, into one summary.

    RUN is the id of a run of this repository, or the beginning of it. DIR is a run's folder, or one that holds the
    artifacts of jobs, each in a folder of its own name, or where a run was sent (s3://…/RUN). In a job of GitHub's
    the summary is added to the job's page. The history tells which red tests are new against the branch that the
    change is for, and what the labels that it does not have would cost.
    """
    found, unread = _merged(folders, suites)
    repository = repository_here()
    target = _target() if comment else None
    event = target.event if target else event_of(os.environ)
    branch = (target.branch, target.commits) if target else None
    outlook = base_of(found, repository, os.environ, branch), costs(found, repository, event)
    for line in one_line(found, *outlook):
        click.echo(github.inert(printable(line)))
    github.write_summary(markdown(found, *outlook, github.LARGEST_SUMMARY, unread), os.environ)
    if target is not None:
        room = comments.LARGEST_COMMENT - len(comments.MARKER) - 1
        comments.keep_comment(
            target, markdown(found, *outlook, room, unread, target.ended), comments.Api(os.environ)
        )
        click.echo(f"The comment of pull request {target.number} is current.")
    elif comment:
        click.echo("No open pull request has this commit as its newest: no comment is written.")
    return EXIT_OK


def _merged(folders: Sequence[str], suites: tuple[str, ...]) -> tuple[list[Merged], list[str]]:
    """The suites, and those that left something which is no run's."""
    runs: list[tuple[str, Run]] = []
    unread: list[str] = []
    with ExitStack() as fetching:
        places = [fetching.enter_context(fetched(name)) if "://" in name else _place(name) for name in folders]
        for folder in places:
            _read(folder, suites, runs, unread)
    return merge(runs), list(dict.fromkeys(unread))


def _place(name: str) -> Path:
    """The folder of that name, or of the run whose id it begins."""
    if Path(name).is_dir():
        return Path(name)
    try:
        root = find_root(Path.cwd())
        return find_run(state_paths(root, load(root).state_dir, os.environ), name)
    except UsageError as error:
        raise UsageError(f"{printable(name)}: there is no such folder, and no such run: {error}") from None


def _read(folder: Path, suites: tuple[str, ...], runs: list[tuple[str, Run]], unread: list[str]) -> None:
    for one in runs_below(folder):
        inner = one.relative_to(folder).parts
        # Who fills an artifact decides how deep in it a run lies.
        artifact = len(inner) > 1 or (len(inner) == 1 and suite_of(inner[0]) != inner[0])
        suite = suite_of(inner[0]) if artifact else ""
        if suites and suite not in suites:
            continue
        try:
            runs.append((suite, read_run(one).run))
        except UsageError as error:
            unread.append(suite)
            # What the code of a pull request left may be anything; the other jobs' runs are told.
            click.echo(github.inert(printable(f"left out: {error}")), err=True)


def _target() -> comments.Target | None:
    event, repository = os.environ.get("GITHUB_EVENT_PATH", ""), os.environ.get("GITHUB_REPOSITORY", "")
    if not (event and repository):
        raise UsageError("--comment is for a job of GitHub's that a workflow_run started; see docs/security.md.")
    return comments.target_of(Path(event), repository, comments.Api(os.environ))
