"""``trainci init``: a trainci.toml made of what the repository's CI says, and the workflow that runs it.

What is there is never touched; a second call says what it would add.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import click

from trainci import git
from trainci.adopt import propose
from trainci.adopt.accepted import accepted
from trainci.adopt.compare import additions
from trainci.adopt.proposal import Proposal, Suite
from trainci.adopt.toml import render
from trainci.adopt.tree import repository_tree
from trainci.commands.generate import render_workflows, workflow_parts
from trainci.config import CONFIG_FILE, faults_in, load
from trainci.errors import EXIT_OK, UsageError
from trainci.github.workflows.loader import FOLDER, SUFFIX
from trainci.github.workflows.render import ours, write
from trainci.model.project import is_hosted
from trainci.text import columns, counted, listed, printable

_FIRST_TEST = "tests/test_first.py"
# A folder with one of these is a project of its own within a repository.
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True)
class _Place:
    """Where things go. ``repository`` is the root of git's repository, the only one where GitHub looks."""

    root: Path
    repository: Path
    base: str


@click.command("init")
@click.option("--only", type=click.Choice(["config", "workflow"]), help="Write only this of what is missing.")
def command(only: str | None) -> int:
    """Read what the repository's CI says and write what is missing of trainci.toml and its workflow."""
    place = _place(Path.cwd())
    proposal = propose(repository_tree(place.root), place.base)
    proposal = accepted(proposal, lambda text: faults_in(text, place.root))
    ci = _ci_of(proposal)
    if only != "workflow":
        _config(place, proposal, ci)
    if only == "workflow" or (only is None and not ci):
        _workflow(place)
    elif only is None:
        click.echo(
            f"{printable(ci[0])} runs tests already, so no workflow was written: `trainci run`, `check`, `list` "
            "and `lease` need none. `trainci init --only workflow` adds trainci's beside it."
        )
    click.echo("Next:")
    for line in _next_steps(place):
        click.echo(f"  {line}")
    return EXIT_OK


def _next_steps(place: _Place) -> list[str]:
    """What is left to do, each as a line to paste where there is one."""
    steps = [("trainci check", "finds what is wrong")]
    try:
        project = load(place.root)
    except UsageError:
        # `check` says what is wrong with it.
        return columns([(line, f"# {why}") for line, why in steps])
    # One without GPUs can be green on any machine, so it comes first.
    runnable = [suite for suite in project.suites if suite.entries]
    runnable.sort(
        key=lambda suite: not is_hosted(suite.runs_on) and any(entry.num_gpus != 0 for entry in suite.entries)
    )
    named = [suite.name for suite in runnable[:1]]
    steps += [(f"trainci run {shlex.quote(name)}", "here; without GPUs: --devices cpu:8") for name in named]
    labels = dict.fromkeys(printable(suite.label) for suite in project.suites if not suite.always)
    steps += [(f"gh label create {shlex.quote(label)}", "once: it starts its suite") for label in labels]
    lines = columns([(line, f"# {why}") for line, why in steps])
    runners = [name for suite in project.suites if not is_hosted(suite.runs_on) for name in suite.runs_on]
    if runners and _files_of_ours(place.repository):
        wanted = listed(list(dict.fromkeys(runners)))
        lines.append(
            f"and a runner with the labels {wanted}: Settings → Actions → Runners → New self-hosted runner"
        )
    return lines


def _place(here: Path) -> _Place:
    here = here.resolve()  # as git names its own root
    top = git.top_level(here)
    if top is None:
        return _Place(here, here, "main")
    base = git.default_branch(top)
    said = "as origin/HEAD says"
    if not base:
        base, said = git.likely_base(top), "as far as can be seen; `base` of trainci.toml says otherwise"
    if base not in ("", "main"):
        click.echo(f"the default branch is {printable(base)}, {said}")
    folders = [folder for folder in (here, *here.parents) if folder.is_relative_to(top)]
    configured = next((folder for folder in folders if (folder / CONFIG_FILE).is_file()), None)
    has_own_project = any((here / name).is_file() for name in _PROJECT_FILES)
    root = configured or (here if has_own_project else top)
    if not here.samefile(top):
        why = "the root of the repository" if root == top else "a project of its own"
        click.echo(f"writing to {root}, {why}")
    return _Place(root, top, base or "main")


def _config(place: _Place, proposal: Proposal, ci: Sequence[str]) -> None:
    target = place.root / CONFIG_FILE
    if target.exists() and not target.is_file():
        raise UsageError(f"{CONFIG_FILE} is there, and is no file. Remove it, then run `trainci init` again.")
    if os.path.lexists(target):
        _additions(target, tuple(suite for suite in proposal.suites if suite.place.file in ci))
    elif not proposal.suites:
        starter = resources.files("trainci") / "starter"
        text = starter.joinpath(CONFIG_FILE).read_text(encoding="utf-8")
        _write(place.root, CONFIG_FILE, text.replace('base = "main"', f'base = "{place.base}"'))
        _write(place.root, _FIRST_TEST, starter.joinpath(*_FIRST_TEST.split("/")).read_text(encoding="utf-8"))
    else:
        _write(place.root, CONFIG_FILE, render(proposal))
        left = len(proposal.left)
        end = f", {counted(left, 'thing')} left to you (`grep 'Left to you' {CONFIG_FILE}`)" if left else ""
        entries = f"{proposal.entries} {'entry' if proposal.entries == 1 else 'entries'}"
        click.echo(f"{entries} in {counted(len(proposal.suites), 'suite')} carried over{end}")


def _additions(target: Path, suites: Sequence[Suite]) -> None:
    try:
        missing = additions(suites, target.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        click.echo(f"{CONFIG_FILE} is here and stays as it is; it cannot be read as TOML: run `trainci check`")
        return
    if not missing:
        click.echo(f"{CONFIG_FILE} is here already, and has all that this would add")
        return
    click.echo(f"{CONFIG_FILE} is here and stays as it is. This would add:")
    for suite, lines in missing.items():
        click.echo(f"  [suites.{suite}]")
        for line in lines:
            click.echo(f"    {line},")


def _workflow(place: _Place) -> None:
    if place.root != place.repository:
        click.echo(f"no workflow was written: GitHub reads them from {place.repository} only")
        return
    if here := _files_of_ours(place.root):
        click.echo(
            f"{' and '.join(here)} {'are here and stay as they are' if here[1:] else 'is here and stays as it is'}"
        )
        return
    if not (place.root / CONFIG_FILE).is_file():
        raise UsageError(f"the workflow is made of {CONFIG_FILE}, which is not here. Run `trainci init` first.")
    # What cannot be rendered is told before anything of it is there.
    templates = workflow_parts(place.root)
    starter = (resources.files("trainci") / "starter").joinpath("pr-test.yml.j2").read_text(encoding="utf-8")
    for name, head in templates:
        text = starter if name == templates[0][0] else starter[starter.index("<% extends") :]
        _write(place.root, f"{FOLDER}/{name}", text.replace("<% extends", f"{head}<% extends"))
    wanted = {f"{FOLDER}/{name.removesuffix(SUFFIX)}" for name, _ in templates}
    for rendered in render_workflows(place.root):
        if rendered.path in wanted:
            write(place.root, rendered)
            click.echo(f"wrote {rendered.path}")


def _files_of_ours(root: Path) -> list[str]:
    """The templates of trainci's that are there, and what they gave."""
    names = [name for template in ours(root) for name in (template, template.removesuffix(SUFFIX))]
    return [f"{FOLDER}/{name}" for name in names if os.path.lexists(root / FOLDER / name)]


def _ci_of(proposal: Proposal) -> tuple[str, ...]:
    """The files of a CI that run tests. Those of trainci are never among a proposal's sources."""
    files = (suite.place.file for suite in proposal.suites)
    return tuple(
        dict.fromkeys(
            file for file in files if file.startswith((".github/", ".buildkite/", ".gitlab", ".circleci/"))
        )
    )


def _write(root: Path, name: str, text: str) -> None:
    """Make the file, which must not be there, not even as a link."""
    target = root / name
    if not Path(os.path.realpath(target.parent)).is_relative_to(os.path.realpath(root)):
        raise UsageError(f"{name}: its folder is a link that leads outside the repository. Put a folder there.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        if error.filename != str(target):
            raise UsageError(f"{name} cannot be written: {error.strerror}: {error.filename}") from None
        click.echo(f"{name} is here and stays as it is")
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror}: {error.filename}") from None
    else:
        click.echo(f"wrote {name}")
