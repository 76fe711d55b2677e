"""``trainci generate``: the workflows of the repository, from their templates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from trainci import config
from trainci.errors import EXIT_FAILED, EXIT_OK, UsageError
from trainci.github.workflows import jobs, loader, render, requirement
from trainci.repository import Request, open_repository
from trainci.text import printable


@click.command("generate")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 with a diff when a committed file has drifted.")
def command(check: bool) -> int:
    """Render every .github/workflows/*.yml.j2 into the .yml beside it."""
    root = _root(Path.cwd())
    rendered = render_workflows(root)
    drifted = [one for one in rendered if one.drifted]
    if check:
        for one in drifted:
            click.echo(one.diff().encode("utf-8", "replace").decode())
        if drifted:
            click.echo(
                f"{_names(drifted)}: not what the template gives. Run `trainci generate` and commit.", err=True
            )
            return EXIT_FAILED
        click.echo(f"{_names(rendered)}: as the template gives it.")
        return EXIT_OK
    for one in rendered:
        if one.drifted:
            render.write(root, one)
        click.echo(f"{'wrote' if one.drifted else 'unchanged'} {one.path}")
    if any("TRAINCI:" in one.text for one in rendered):
        for sentence in _about_requirement(_requirement(root), is_new=bool(drifted)):
            click.echo(f"trainci: {printable(sentence)}", err=True)
    return EXIT_OK


def _about_requirement(said: str, *, is_new: bool) -> Iterator[str]:
    """What there is to say of what the jobs install; ``said`` is what trainci.toml asks for, if anything."""
    if not said and is_new:
        yield (
            f"the jobs install {requirement.installed()}, the trainci that wrote them. "
            "`[workflow] trainci` in trainci.toml asks for another."
        )
    if doubt := requirement.warning(said or requirement.installed()):
        yield doubt


def render_workflows(root: Path) -> list[render.Rendered]:
    """What each template of the repository around the current directory gives."""
    return render.render_all(root, workflow_context)


def workflow_parts(root: Path) -> list[tuple[str, str]]:
    """The templates that the suites of the repository need, for a repository without any."""
    return render.parts(root, workflow_context())


def _requirement(root: Path) -> str:
    """What trainci.toml wants the jobs to install as trainci; nothing where it does not say."""
    try:
        return config.load(root).workflow.trainci
    except UsageError:
        return ""


def _root(start: Path) -> Path:
    """The repository's root; a template that needs no trainci.toml is rendered without one."""
    try:
        return config.find_root(start)
    except UsageError:
        for directory in (start, *start.parents):
            if (directory / loader.FOLDER).is_dir():
                return directory
        raise


def workflow_context() -> jobs.Context:
    """What the templates of the repository around the current directory are filled with.

    :raises UsageError: a suite cannot become a job.
    """
    repository = open_repository()
    project = repository.project
    if not project.workflow.trainci:
        project = replace(project, workflow=replace(project.workflow, trainci=requirement.installed()))
    return jobs.context(project, lambda suite: repository.select(Request((suite.name,))))


def _names(rendered: list[render.Rendered]) -> str:
    return ", ".join(one.path for one in rendered)
