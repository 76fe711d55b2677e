"""What several commands need first: the repository's root, its project, its test files, what has changed."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainci import config, git
from trainci.affected import Affected, find_affected
from trainci.catalog.declarations import declarations
from trainci.catalog.files import find_test_files, walk
from trainci.github import actions as github
from trainci.model import Declarations, Project


@dataclass(frozen=True)
class Repository:
    """A repository with trainci's file in it. ``files`` are its test files, registered ones included."""

    root: Path
    project: Project
    files: tuple[str, ...]

    def declarations(self, files: Iterable[str]) -> dict[str, Declarations]:
        """What each of ``files`` declares."""
        return {file: declarations(self.root, file) for file in files}

    def paths(self) -> frozenset[str]:
        """Every file of the repository, as git lists them; outside of one, all but what is in hidden folders."""
        listing = git.listing(self.root)
        return frozenset(walk(self.root, "")) if listing is None else listing.files | listing.links

    def changed(self, base: str) -> Affected:
        """The tests that a change reaches; ``base`` is a branch or a commit, empty for the project's own branch.

        By hand, what is not committed counts too; in a job, only what the commit holds.
        """
        in_job = github.in_actions(os.environ)
        compared = git.compare(self.root, base or f"origin/{self.project.base}", uncommitted=not in_job)
        return find_affected(self.root, self.project, self.files, compared)

    def from_root(self, selectors: Sequence[str]) -> list[str]:
        """Selectors with each test file, as the current directory names it, made relative to the root."""
        here, files = Path.cwd().as_posix(), set(self.files)
        placed = [posixpath.relpath(posixpath.join(here, text), self.root) for text in selectors]
        return [path if path in files else text for path, text in zip(placed, selectors, strict=True)]


def open_repository() -> Repository:
    """The repository around the current directory.

    :raises UsageError: there is none, or its trainci.toml has faults.
    """
    root = config.find_root(Path.cwd())
    project = config.load(root)
    found = set(find_test_files(root, project.test_globs))
    return Repository(root, project, tuple(sorted(found | {entry.file for entry in project.registered})))
