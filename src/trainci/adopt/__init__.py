"""What ``trainci init`` reads of a repository, and what it makes of that. Texts in, a proposal out; nothing is run.

A new source is a file in ``sources`` with a ``read`` and a line in ``_SOURCES``.
"""

from __future__ import annotations

from collections.abc import Callable

from trainci.adopt import pytest_config
from trainci.adopt.github import workflows
from trainci.adopt.merge import merge
from trainci.adopt.proposal import Found, Proposal
from trainci.adopt.sources import (
    buildkite,
    circleci,
    file_globs,
    gitlab,
    job_table,
    recipes,
    registrations,
    suite_tables,
    task_runners,
    unread,
)
from trainci.adopt.tree import Tree

_SOURCES: dict[str, Callable[[Tree], Found]] = {
    "job table": job_table.read,
    "workflows": workflows.read,
    "buildkite": buildkite.read,
    "gitlab": gitlab.read,
    "circleci": circleci.read,
    "registrations": registrations.read,
    "suite tables": suite_tables.read,
    "recipes": recipes.read,
    "unread": unread.read,
    "task runners": task_runners.read,
    "pytest": pytest_config.read,
    "files": file_globs.read,
}
# How the files of a CI begin.
CI_FILES = (".github/", ".buildkite/", ".gitlab", ".circleci/")
# Their suites are for a repository whose CI says nothing of tests; the first group that has any is taken.
_FALLBACKS = (("task runners",), ("pytest", "files"))


def propose(tree: Tree, base: str) -> Proposal:
    """A trainci.toml for the repository of ``tree``, whose default branch is ``base``."""
    return merge({name: read(tree) for name, read in _SOURCES.items()}, _FALLBACKS, tree, base)


__all__ = ["CI_FILES", "propose"]
