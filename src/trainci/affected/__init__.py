"""Which tests a change reaches: by imports, by names in strings, by file names, by trainci.toml. Nothing is run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from trainci import git
from trainci.affected.entries import Altered, altered
from trainci.affected.find import Affected, find
from trainci.affected.stale import stale_globs
from trainci.affected.tree import read_tree
from trainci.errors import UsageError
from trainci.globs import matches
from trainci.model.project import Project
from trainci.model.selection import Change
from trainci.text import listed

__all__ = ["Affected", "find_affected", "stale_globs"]


def find_affected(root: Path, project: Project, test_files: Iterable[str], compared: git.Comparison) -> Affected:
    """The tests that what was ``compared`` reaches, and what cannot be seen of it.

    :raises UsageError: git cannot be run, or a changed test is not checked out.
    """
    if not compared.changes:
        return Affected({}, compared.notes)
    _refuse_left_out(root, project, compared.changes)
    listing = git.listing(root)
    tree = read_tree(root, listing or git.Listing(frozenset(), frozenset(), frozenset()))
    entries: list[Altered] = []
    notes = list(compared.notes)
    if any(project.config_file in (change.path, change.old_path) for change in compared.changes):
        before = git.text_at(root, compared.fork_point, project.config_file) or b""
        try:
            now = (root / project.config_file).read_bytes()
            entries = altered(before.decode("utf-8-sig"), now.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            notes.append(
                f"{project.config_file} as it was cannot be read, so which entries the change alters is not seen."
            )
    found = find(project, test_files, tree, compared.changes, entries)
    return replace(found, notes=(*notes, *found.notes))


def _refuse_left_out(root: Path, project: Project, changes: Sequence[Change]) -> None:
    """A test that changed and is not there would be selected by nothing, and the run be green without it."""
    left_out = [
        change.path
        for change in changes
        if change.status != "D"
        and any(matches(change.path, pattern) for pattern in project.test_globs)
        and not os.path.lexists(root / change.path)
    ]
    if left_out:
        raise UsageError(
            f"The change holds tests that are not checked out here, so they cannot run: {listed(left_out)}. "
            "In a sparse checkout run `git sparse-checkout disable`, or take `sparse-checkout` out of the workflow."
        )
