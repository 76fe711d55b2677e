"""Where a template's text comes from: the repository's folder of workflows, or trainci itself."""

from __future__ import annotations

import io
import os
import re
from importlib import resources
from pathlib import Path

from trainci.errors import UsageError
from trainci.host.files import open_plain
from trainci.text import printable

FOLDER = ".github/workflows"
SUFFIX = ".j2"
OURS = "trainci/"
# Nothing hidden, and nothing but templates: an include of `.env` or `.git/config` would show it in a public log.
_NAME = re.compile(r"(?!\.)([A-Za-z0-9_][\w. -]*/)*[A-Za-z0-9_][\w. -]*\.j2", re.ASCII)
_PARENTS = resources.files(__package__) / "templates"


def source(root: Path, name: str) -> tuple[str, str]:
    """The text of the template called ``name``, and its place in messages.

    :raises UsageError: no template may have that name, or it cannot be read.
    """
    return (_parent(name) if name.startswith(OURS) else _own(root, name)), place(name)


def _parent(name: str) -> str:
    known = {f"{OURS}{parent.name}": parent for parent in _PARENTS.iterdir()}
    if name not in known:
        raise UsageError(f"there is no template {place(name)}; trainci brings {', '.join(sorted(known))}.")
    return known[name].read_text(encoding="utf-8")


def _own(root: Path, name: str) -> str:
    shown, path = place(name), inside(root, name)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{shown}: a template's name is of letters, digits, '_', '-', '.', spaces; it ends in .j2."
        )
    try:
        # What it leads to: a pipe may be in a file's place, at which an open waits for ever.
        with open_plain(Path(os.path.realpath(path))) as file:
            text = io.TextIOWrapper(file, encoding="utf-8").read()
    except UnicodeDecodeError:
        raise UsageError(f"{shown}: not UTF-8. Save the template as UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read: {error.strerror}.") from None
    if not os.path.realpath(path).endswith(SUFFIX):
        raise UsageError(f"{shown}: a link to a file that is no template. Put the template here.")
    return text


def place(name: str) -> str:
    """A template as messages call it."""
    return printable(name if name.startswith(OURS) else f"{FOLDER}/{name}")


def inside(root: Path, name: str) -> Path:
    """The file of that name in the folder. A pull request may bring a link to a file that only the machine has.

    :raises UsageError: it lies outside the repository.
    """
    path = root / FOLDER / name
    # Not Path.resolve, which raises for links in a circle; reading those says what is wrong.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise UsageError(f"{place(name)}: leads outside the repository. Put a file of the repository there.")
    return path
