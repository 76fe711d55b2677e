"""The CI of others that nobody here reads. What it runs is left to the user, and said to be."""

from __future__ import annotations

from trainci.adopt.proposal import Found, Note, Place
from trainci.adopt.tree import Tree

_FILES = {
    ".gitlab-ci.yml": "GitLab CI",
    ".circleci/config.yml": "CircleCI",
    ".travis.yml": "Travis CI",
    "azure-pipelines.yml": "Azure Pipelines",
    "bitbucket-pipelines.yml": "Bitbucket Pipelines",
    "Jenkinsfile": "Jenkins",
    "noxfile.py": "nox",
    "tox.ini": "tox",
}


def read(tree: Tree) -> Found:
    """A note for each such file."""
    here = ((file, kind) for file, kind in _FILES.items() if tree.is_file(file))
    # pytest has its settings in that file, too.
    runs = ((file, kind) for file, kind in here if kind != "tox" or "commands" in tree.read(file))
    text = "what {} runs is not read: an entry with its `path` or `command` carries a test over"
    return Found(notes=tuple(Note(text.format(kind), Place(file, 1)) for file, kind in runs))
