"""Reads ``trainci.toml``. The one room that knows pydantic.

Every fault is found before any is reported, each as ``file:line: where → in → the file: what is wrong``.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainci.config.faults import Path as FaultPath
from trainci.config.faults import breadcrumb, clash_faults, shape_faults, syntax_fault
from trainci.config.from_tables import Lines, project_of
from trainci.config.tables import CONFIG_FILE, FileTable, json_schema
from trainci.errors import PlacedFaults, UsageError
from trainci.model.project import Project

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["CONFIG_FILE", "faults_in", "find_root", "json_schema", "load"]


def find_root(start: Path) -> Path:
    """The nearest directory at or above ``start`` that holds ``trainci.toml``.

    :raises UsageError: there is none.
    """
    for directory in (start, *start.parents):
        if (directory / CONFIG_FILE).is_file():
            return directory
    raise UsageError(
        f"no {CONFIG_FILE} in {start} or above it. `trainci init` writes one; or change to your repository."
    )


# What is larger takes minutes to check, and somebody else may have written it.
_LARGEST = 2**20


def load(root: Path) -> Project:
    """Read and check ``root/trainci.toml``.

    :raises PlacedFaults: with every fault of the file, one a line.
    """
    path = root / CONFIG_FILE
    # Not even read: a fault that is reported would show a line of it.
    if not path.resolve().is_relative_to(root.resolve()):
        raise PlacedFaults(
            f"{CONFIG_FILE}:1: a link that leads outside the repository, so it is not read. Put the file here."
        )
    try:
        found = path.stat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            # An open of a pipe waits for ever.
            raise PlacedFaults(f"{CONFIG_FILE}:1: a pipe or a device, and no file. Put the file here.")
        if found.st_size > _LARGEST:
            raise PlacedFaults(f"{CONFIG_FILE}:1: larger than 1 MiB. A glob names many tests in one entry.")
        source = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise PlacedFaults(f"{CONFIG_FILE}:{line}: not UTF-8, which TOML must be. Save it as UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{CONFIG_FILE}: {error.strerror}: {path}") from None
    try:
        document = tomllib.loads(source)
        lines = Lines(source)
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits gives another.
        raise PlacedFaults(syntax_fault(source, str(error))) from None
    except RecursionError:
        raise PlacedFaults(f"{CONFIG_FILE}:1: nested too deeply to be read.") from None
    parsed, faults = _parsed(document, root)
    if parsed is None:
        placed = sorted((lines.line(path), breadcrumb(path), sentence) for path, sentence in faults)
        raise PlacedFaults("\n".join(f"{CONFIG_FILE}:{line}: {where}: {what}" for line, where, what in placed))
    return project_of(parsed, lines, root)


def faults_in(source: str, root: Path) -> list[tuple[FaultPath, str]]:
    """What is wrong with the text of a trainci.toml for ``root``: the path of each key at fault, and a sentence.

    :raises ValueError: it is no TOML.
    """
    return _parsed(tomllib.loads(source), root)[1]


def _parsed(document: dict[str, Any], root: Path) -> tuple[FileTable | None, list[tuple[FaultPath, str]]]:
    """The tables, None where there are faults."""
    faults = list(clash_faults(document))
    try:
        parsed = FileTable.model_validate(document, context={"root": root})
    except ValidationError as error:
        faults += [fault for item in error.errors(include_url=False) for fault in shape_faults(item)]
        return None, faults
    return (None if faults else parsed), faults
