"""What ``trainci init`` reads of a repository, and what it makes of that. Texts in, a proposal out; nothing is run.

A new source is a file here with a ``read`` and a line in ``_SOURCES``.
"""

from __future__ import annotations

from collections.abc import Callable

from trainci.adopt import (
    buildkite,
    file_globs,
    job_table,
    pytest_config,
    registrations,
    unread,
    workflows,
)
from trainci.adopt.merge import merge
from trainci.adopt.proposal import Found, Proposal
from trainci.adopt.tree import Tree

_SOURCES: dict[str, Callable[[Tree], Found]] = {
    "job table": job_table.read,
    "workflows": workflows.read,
    "buildkite": buildkite.read,
    "registrations": registrations.read,
    "unread": unread.read,
    "pytest": pytest_config.read,
    "files": file_globs.read,
}
# How the files of a CI begin.
CI_FILES = (".github/", ".buildkite/", ".gitlab", ".circleci/")
# Their suites are for a repository whose CI says nothing of tests.
_FALLBACKS = ("pytest", "files")


def propose(tree: Tree, base: str) -> Proposal:
    """A trainci.toml for the repository of ``tree``, whose default branch is ``base``."""
    return merge({name: read(tree) for name, read in _SOURCES.items()}, _FALLBACKS, tree, base)


__all__ = ["CI_FILES", "propose"]
