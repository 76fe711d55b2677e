"""``trainci check``: what is wrong with the repository, before a label finds out."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import click

from trainci import findings
from trainci.adopt.differences import missing_of_job_tables, other_rules
from trainci.adopt.sources.run_within import run_within
from trainci.adopt.tree import repository_tree
from trainci.affected import stale_globs
from trainci.answers.form import text_of
from trainci.answers.values import Checked, Found
from trainci.catalog.helpers import helpers
from trainci.commands.run.secret_values import secret_values
from trainci.config import find_root
from trainci.config.accepting import accept
from trainci.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, PlacedFaults
from trainci.github import actions as github
from trainci.github import exposure
from trainci.output.redaction import Redactor
from trainci.paths import from_here
from trainci.repository import open_repository
from trainci.text import counted, printable


@click.command("check")
@click.option(
    "--format", "form", type=click.Choice(["text", "github"]), default="text", help="How to print findings."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object (docs/json.md).")
@click.option("--accept-current", is_flag=True, help="Write what is found now into [check] accept of trainci.toml.")
def command(form: str, as_json: bool, accept_current: bool) -> int:
    """Find what is wrong with suites and test files.

    Exit code 1 when something is, 2 when trainci.toml itself cannot be used.
    """
    try:
        repository = open_repository()
    except PlacedFaults as error:
        if form == "text":
            raise
        click.echo(github.annotated(str(error), github.folder(find_root(Path.cwd()), os.environ)))
        return EXIT_USAGE
    declared = repository.declarations(findings.entries(repository.project, repository.files))
    tree = repository_tree(repository.root)
    found = [*repository.misregistered]
    paths = repository.paths()
    left_out = helpers(repository.root, declared, repository.files, paths)
    tests = [file for file in repository.files if file not in left_out]
    declared = {entry: says for entry, says in declared.items() if entry.where or entry.file not in left_out}
    found += findings.find(repository.project, tests, declared, run_within(repository.project, tree))
    known = (*repository.everything(), *repository.files)
    found += findings.of_quarantine(repository.project, known, datetime.now(timezone.utc).date().isoformat())
    found += stale_globs(repository.project, paths, repository.files)
    found += missing_of_job_tables(tree, tree.read(repository.project.config_file))
    found = findings.without_accepted(repository.project, found)
    notes = [*findings.notes(declared), *exposure.notes(repository.project)]
    notes += other_rules(tree, repository.project.base)
    notes += findings.outside_globs(repository.project, repository.files, paths)
    if accept_current:
        count = accept(repository.root, [one for one in found if one.code != "accept-unused"])
        click.echo(f"{counted(count, 'line')} written into [check] accept of {repository.project.config_file}.")
        return EXIT_OK
    files, suites = len(repository.files), len(repository.project.suites)
    mask = Redactor(secret_values(repository)).mask
    found, notes = ([replace(one, sentence=mask(one.sentence)) for one in some] for some in (found, notes))
    if as_json:
        answer = Checked(tuple(map(_found, found)), tuple(map(_found, notes)), files, suites)
        click.echo(text_of(answer))
        return EXIT_FAILED if found else EXIT_OK
    if form == "github":
        folder = github.folder(repository.root, os.environ)
        told = [*_annotations(found, "error", folder), *_annotations(notes, "notice", folder)]
        lines = github.first_annotations(told)
    else:
        here = [replace(one, file=from_here(repository.root, one.file)) for one in (*found, *notes)]
        lines = findings.in_lines(here)
    for line in lines:
        click.echo(line)
    if found:
        is_shorter = form == "text" and len(lines) < len(found) + len(notes)
        click.echo(counted(len(found), "finding") + ("; `trainci check --json` has each." if is_shorter else "."))
        return EXIT_FAILED
    accepted = len(repository.project.accepted)
    besides = f" besides what {counted(accepted, 'line')} of [check] accept takes as it is" if accepted else ""
    above = f"; {counted(len(notes), 'note')} above" if notes else ""
    click.echo(f"{counted(files, 'test file')} and {counted(suites, 'suite')}: nothing is wrong{besides}{above}.")
    return EXIT_OK


def _found(one: findings.Finding) -> Found:
    return Found(one.code, one.file, one.line, one.sentence)


def _annotations(found: list[findings.Finding], level: str, folder: str) -> list[github.Annotation]:
    return [
        github.Annotation(f"{one.sentence} [{one.code}]", folder + printable(one.file), one.line, level=level)
        for one in found
    ]
