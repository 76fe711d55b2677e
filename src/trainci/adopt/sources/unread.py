"""The CI of others that nobody here reads. What it runs is left to the user, and said to be."""

from __future__ import annotations

import re

from trainci.adopt.proposal import Found, Note, Place
from trainci.adopt.tree import Tree

_FILES = {
    r"\.travis\.yml": "Travis CI",
    r"azure-pipelines[^/]*|\.azure[\w-]*/[^/]+\.ya?ml": "Azure Pipelines",
    r"bitbucket-pipelines\.yml": "Bitbucket Pipelines",
    r"appveyor\.yml": "AppVeyor",
    r"Jenkinsfile[^/]*": "Jenkins",
}


def read(tree: Tree) -> Found:
    """A note for each such file."""
    named = ((path, kind) for path in tree.files for name, kind in _FILES.items() if _is(name, path))
    text = "what {} runs is not read: an entry with its `path` or `command` carries a test over"
    return Found(notes=tuple(Note(text.format(kind), Place(path, 1)) for path, kind in named))


def _is(name: str, path: str) -> bool:
    return re.fullmatch(rf"(?:.*/)?(?:{name})", path) is not None
