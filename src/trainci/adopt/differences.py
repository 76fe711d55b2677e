"""Where the CI that is committed and trainci.toml say different things."""

from __future__ import annotations

from trainci.adopt import CI_FILES, propose
from trainci.adopt.compare import additions
from trainci.adopt.proposal import Place, Suite
from trainci.adopt.sources import job_table
from trainci.adopt.tree import Tree
from trainci.findings import Finding
from trainci.text import counted, listed, printable


def missing_of_job_tables(tree: Tree, document: str) -> list[Finding]:
    """A finding for each job in a template's own table that has tests which no suite of ``document`` has.

    :raises ValueError: ``document`` is no TOML.
    """
    suites = job_table.read(tree).suites
    missing = additions(suites, document)
    return [_finding(suite, missing[suite.name]) for suite in suites if suite.name in missing]


def other_rules(tree: Tree, base: str) -> list[Finding]:
    """A note that names the committed workflows which run tests, and which trainci did not write."""
    places: dict[str, Place] = {}
    for suite in propose(tree, base).suites:
        if suite.place.file.startswith(CI_FILES):
            places.setdefault(suite.place.file, suite.place)
    if not places:
        return []
    first, *others = places.values()
    more = f" ({counted(len(others), 'other file')}, too)" if others else ""
    sentence = f"runs tests by rules of its own{more}: `trainci plan` says only what trainci.toml starts."
    return [Finding(first.file, first.line, sentence, "other-rules")]


def _finding(suite: Suite, lines: list[str]) -> Finding:
    shown = listed(lines, most=1)
    tests = f"{counted(len(lines), 'test')} of {printable(suite.job or suite.name)}"
    sentence = f"{tests} in this job table, and in no suite of trainci.toml: {shown}. Add what is missing."
    return Finding(suite.place.file, suite.place.line, sentence, "job-table")
