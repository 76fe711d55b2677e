"""The CI of others that nobody here reads. What it runs is left to the user, and said to be."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trainci.adopt.commands.called_tests import speaks_of_tests
from trainci.adopt.proposal import Found, Note, Place
from trainci.adopt.tree import Tree

_FILES = {
    r"\.travis\.yml": "Travis CI",
    r"azure-pipelines[^/]*|\.azure[\w-]*/[^/]+\.ya?ml": "Azure Pipelines",
    r"bitbucket-pipelines\.yml": "Bitbucket Pipelines",
    r"appveyor\.yml": "AppVeyor",
    r"Jenkinsfile[^/]*": "Jenkins",
    r"cloudbuild[^/]*\.ya?ml": "Cloud Build",
}
# Where a CI that has no reader of its own keeps its files, and what there is none.
_HIDDEN = re.compile(r"\.(?!github/|buildkite/|circleci/|gitlab|pre-commit|readthedocs|codecov).+\.ya?ml")
_LEFT = "what {} runs is not read: an entry with its `path` or `command` carries a test over"


def read(tree: Tree) -> Found:
    """A note for each such file."""
    named = ((path, kind) for path in tree.files for name, kind in _FILES.items() if _is(name, path))
    known = {path: Note(_LEFT.format(kind), Place(path, 1)) for path, kind in named}
    others = (path for path in tree.files if path not in known and _HIDDEN.fullmatch(path))
    return Found(notes=(*known.values(), *(note for path in others for note in _of_tests(path, tree.read(path)))))


def _of_tests(path: str, text: str) -> Iterator[Note]:
    """A note at the first line that runs tests."""
    for number, line in enumerate(text.splitlines() if speaks_of_tests(text) else (), 1):
        if speaks_of_tests(line):
            yield Note(_LEFT.format("this file"), Place(path, number))
            return


def _is(name: str, path: str) -> bool:
    return re.fullmatch(rf"(?:.*/)?(?:{name})", path) is not None
