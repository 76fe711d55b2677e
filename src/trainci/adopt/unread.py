"""The CI of others that nobody here reads. What it runs is left to the user, and said to be."""

from __future__ import annotations

import posixpath

from trainci.adopt.proposal import Found, Note, Place
from trainci.adopt.tree import Tree

# By the beginning of the file's name.
_FILES = {
    ".travis.yml": "Travis CI",
    "azure-pipelines": "Azure Pipelines",
    "bitbucket-pipelines.yml": "Bitbucket Pipelines",
    "appveyor.yml": "AppVeyor",
    "Jenkinsfile": "Jenkins",
}


def read(tree: Tree) -> Found:
    """A note for each such file."""
    kinds = ((path, posixpath.basename(path)) for path in tree.files)
    here = ((path, kind) for path, name in kinds for start, kind in _FILES.items() if name.startswith(start))
    text = "what {} runs is not read: an entry with its `path` or `command` carries a test over"
    return Found(notes=tuple(Note(text.format(kind), Place(path, 1)) for path, kind in here))
