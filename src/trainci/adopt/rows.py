"""A row of a job table: a test file with its arguments and devices, and switches that the job's ``env`` reads."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from trainci.adopt.commands.entries import python_runner
from trainci.adopt.placed import Table, Text
from trainci.adopt.proposal import Entry, Place
from trainci.adopt.tree import Tree

FILE_KEYS = ("test_file", "test_path", "test", "file", "path", "script")
_ARGUMENTS = ("test_args", "args", "extra_args")
_GPUS = ("num_gpus", "gpus", "n_gpus", "gpu_count", "ngpu")


def row_entry(row: Table, place: Place, tree: Tree, note: Callable[[str, int], None]) -> list[Entry]:
    """The test of a row, none when there is no such file, which ``note`` is told."""
    file = next((row.text(key) for key in FILE_KEYS if row.text(key).endswith((".py", ".sh"))), Text("", row.line))
    path = _path(file, tree)
    if not path:
        note(f"{file or 'a row without a file'}: no such file", place.line)
        return []
    # The job splits them at blanks and knows no quotes (`read -r -a`).
    args = next((row.text(key).split() for key in _ARGUMENTS if row.text(key)), [])
    runner = python_runner(path, tree) if path.endswith(".py") else ""
    return [Entry(path=path, runner=runner, args=tuple(args), num_gpus=row_gpus(row), place=place)]


def row_gpus(row: Table) -> int | None:
    """The devices that a row asks for, by itself or in a table of its own; None where it says nothing of them."""
    tables = (table for table in (row, *row.values()) if isinstance(table, Table))
    said = (table.text(key) for table in tables for key in _GPUS)
    return next((int(text) for text in said if text.isdigit()), None)


def _path(file: str, tree: Tree) -> str:
    """The file, below a folder of tests where the table leaves that out."""
    for folder in ("tests", "", "test"):
        path = posixpath.normpath(posixpath.join(folder, file))
        if (not folder or not file.startswith(f"{folder}/")) and tree.is_file(path):
            return path
    return ""
