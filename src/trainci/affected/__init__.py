"""Which tests a change reaches: by imports, by names in strings, by file names, by trainci.toml. Nothing is run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from trainci import git
from trainci.affected.entries import Altered, altered
from trainci.affected.find import Affected, find
from trainci.affected.stale import stale_globs
from trainci.affected.tree import read_tree
from trainci.model.project import Project

__all__ = ["Affected", "find_affected", "stale_globs"]


def find_affected(root: Path, project: Project, test_files: Iterable[str], compared: git.Comparison) -> Affected:
    """The tests that what was ``compared`` reaches, and what cannot be seen of it.

    :raises UsageError: git cannot be run.
    """
    if not compared.changes:
        return Affected({}, compared.notes)
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
