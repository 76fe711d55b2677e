"""Values of a matrix that only a run knows: where a script names them, hidden from the shell's grammar."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from trainci.adopt.proposal import Entry, Note
from trainci.adopt.tree import CLONED, Tree
from trainci.globs import matches

_OF_MATRIX = re.compile(r"\$\{\{\s*matrix\.([\w.-]+)\s*\}\}")
# A value of a matrix that a run makes, between characters of nobody's, as one word of a script.
_HIDDEN = re.compile("\ue000([\\w.-]+)\ue001")


def hidden(script: str) -> str:
    """The script with the values of a matrix that it names as words of a shell."""
    return _OF_MATRIX.sub("\ue000\\1\ue001", script)


def of_any_row(entry: Entry, patterns: Sequence[str], tree: Tree) -> Entry:
    """The entry, or where only a run knows its file's name, a glob of all that this can be.

    ``patterns`` are what the job lists that makes the matrix, of which only the name may be handed on.
    """
    if not _HIDDEN.search(entry.path):
        return entry
    stems = [posixpath.splitext(posixpath.basename(pattern))[0] for pattern in patterns]
    for value in (*patterns, *stems, "*"):
        path = _HIDDEN.sub(lambda _: value, entry.path)  # noqa: B023
        has_folder = bool(path.partition("*")[0].strip("/"))
        if has_folder and any(matches(file, path) for file in tree.files):
            text = "its matrix is made in a run: here every file that it can name"
            return replace(entry, path=path, notes=(*entry.notes, Note(text, entry.place, left=False)))
    return entry


def shown(text: str) -> str:
    """The text with what was hidden from the shell's grammar."""
    return _HIDDEN.sub(lambda match: f"${{{{ matrix.{match.group(1)} }}}}", text).replace(CLONED, "")


def is_open(entry: Entry) -> bool:
    """Whether only a run knows what the entry starts."""
    return any(map(is_hidden, (entry.path, entry.module, *entry.command, *entry.args)))


def is_hidden(text: str) -> bool:
    """Whether only a run knows the whole text."""
    return "${{" in text or _HIDDEN.search(text) is not None
