"""``trainci init``: a commented trainci.toml, a first test that runs, and the workflow that runs it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from trainci.commands.generate import render_workflows
from trainci.config import CONFIG_FILE
from trainci.errors import EXIT_OK, UsageError
from trainci.github.workflows.loader import FOLDER
from trainci.github.workflows.render import write
from trainci.host import files

# What is written, and from which file of ours.
_FILES = {
    CONFIG_FILE: "trainci.toml",
    "tests/test_first.py": "tests/test_first.py",
    f"{FOLDER}/pr-test.yml.j2": "pr-test.yml.j2",
}
_GENERATED = f"{FOLDER}/pr-test.yml"


@click.command("init")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def command(force: bool) -> int:
    """Write trainci.toml, a first test and the workflow of GitHub that runs it into the current directory."""
    root = Path.cwd()
    existing = [name for name in (*_FILES, _GENERATED) if (root / name).exists()]
    if existing and not force:
        raise UsageError(
            f"already here: {', '.join(existing)}. Nothing was written; `trainci init --force` overwrites."
        )
    starter = resources.files("trainci") / "starter"
    for name, source in _FILES.items():
        target = root / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            files.replace(target, starter.joinpath(*source.split("/")).read_bytes())
        except OSError as error:
            raise UsageError(f"{name} cannot be written: {error.strerror}: {error.filename}") from None
        click.echo(f"wrote {name}")
    for rendered in render_workflows(root):
        if rendered.path == _GENERATED:
            write(root, rendered)
            click.echo(f"wrote {rendered.path}")
    click.echo("Next: `trainci run short`, then `trainci check` for test files that no suite lists yet.")
    return EXIT_OK
