"""The CI of others that nobody here reads, and what else may run tests: named, and left to the user."""

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
    r"Jenkinsfile[^/]*|[^/]*\.jenkinsfile": "Jenkins",
    r"cloudbuild[^/]*\.ya?ml": "Cloud Build",
}
# What may hold a pipeline or the tasks of a repository; those of a CI with a reader are that one's.
_MAY_RUN = re.compile(
    r"(?!(?:.*/)?\.(?:pre-commit|readthedocs|codecov)|\.github/|\.circleci/|\.gitlab|\.?buildkite[/.]|.*/recipes/)"
    r"(?:.+\.(?:ya?ml|groovy|kts|j2)|(?:.*/)?\.?[jJ]ustfile|tasks\.py|dodo\.py|package\.json)"
    r"|\.(?:buildkite|github/workflows)/.+\.j2"
)
_LEFT = "what {} runs is not read: an entry with its `path` or `command` carries a test over"


def read(tree: Tree) -> Found:
    """A note for each such file."""
    named = ((path, kind) for path in tree.files for name, kind in _FILES.items() if _is(name, path))
    known = {path: Note(_LEFT.format(kind), Place(path, 1)) for path, kind in named}
    others = (path for path in tree.files if path not in known and _MAY_RUN.fullmatch(path))
    return Found(notes=(*known.values(), *(note for path in others for note in _of_tests(path, tree.read(path)))))


def _of_tests(path: str, text: str) -> Iterator[Note]:
    """A note at the first line that runs tests."""
    for number, line in enumerate(text.splitlines() if speaks_of_tests(text) else (), 1):
        if speaks_of_tests(line):
            yield Note(_LEFT.format("this file"), Place(path, number))
            return


def _is(name: str, path: str) -> bool:
    return re.fullmatch(rf"(?:.*/)?(?:{name})", path) is not None
