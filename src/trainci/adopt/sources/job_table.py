"""A workflow's template with a table of jobs, such as slime's: each job a name, a label and a list of tests.

The template is written out from its constants and read as the workflow that it gives; the table gives each suite
and test its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from trainci.adopt.github.workflows import FOLDER, read_workflow
from trainci.adopt.placed import NotYaml, Table, load_yaml
from trainci.adopt.proposal import Found, Note, Place, Suite
from trainci.adopt.pytest_config import test_paths
from trainci.adopt.rows import FILE_KEYS
from trainci.adopt.sources.template import NotConstant, PlacedDict, Template
from trainci.adopt.tree import Tree

_USES_OURS = ("<%- for job in jobs %>", "trainci plan", 'extends "trainci/')


def read(tree: Tree) -> Found:
    """The suites of every template of a workflow."""
    suites: list[Suite] = []
    notes: list[Note] = []
    for suffix in ("yml", "yaml"):
        for file in tree.matching(f"{FOLDER}/*.{suffix}.j2"):
            source = tree.read(file)
            if any(mark in source for mark in _USES_OURS):
                continue
            try:
                suites += _suites(Template(source), file, tree)
            except NotConstant as error:
                notes.append(Note(f"the template is not read: {error}", Place(file, error.line)))
            except NotYaml as error:
                notes.append(Note(f"the template gives no YAML: {error}", Place(file, error.line)))
    return Found(tuple(suites), tuple(notes))


def _suites(template: Template, file: str, tree: Tree) -> Iterator[Suite]:
    workflow = load_yaml(template.text, tuple(template.lines))
    if not isinstance(workflow, Table):
        return
    table = {name: job for value in template.values.values() for name, job in _jobs(value)}
    for suite in read_workflow(workflow, file, tree, test_paths(tree)):
        job = table.get(suite.job)
        yield suite if job is None else _placed(suite, job, file)


def _jobs(value: Any) -> Iterator[tuple[str, PlacedDict]]:
    """The jobs of a constant, when it is a table of them."""
    if isinstance(value, PlacedDict):
        for name, job in value.items():
            if isinstance(job, PlacedDict) and any(list(_tests(job))):
                yield str(name), job


def _tests(job: PlacedDict) -> Iterator[PlacedDict]:
    for value in job.values():
        if isinstance(value, list):
            yield from (
                row for row in value if isinstance(row, PlacedDict) and not row.keys().isdisjoint(FILE_KEYS)
            )


def _placed(suite: Suite, job: PlacedDict, file: str) -> Suite:
    """The suite with the lines of the table, and the label of the table where the job's condition names none."""
    rows = list(_tests(job))
    tests = suite.tests
    if len(rows) == len(tests):
        tests = tuple(replace(test, place=Place(file, row.line)) for test, row in zip(tests, rows, strict=True))
    label = suite.label or str(job.get("label") or "")
    return replace(suite, tests=tests, place=Place(file, job.line), label=label)
