"""Globs of the test files that are there, and one suite of them for a repository whose CI says nothing."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Sequence

from trainci.adopt.proposal import Entry, Found, Suite
from trainci.adopt.pytest_config import test_paths
from trainci.adopt.tree import Tree
from trainci.globs import matches

_FOLDERS = ("tests", "test")
_MOST = 12
# As many files as somebody would list one by one.
_FEW = 20
# By a test's usual names, its own or another file's, or as a program.
_HOLDS_A_TEST = re.compile(
    r"(?m)^\s*(?:async +)?def +test|^\s*class +\w*Test|__main__|\bimport\b.*\b_?[tT]est|\btest_\w* +import\b"
)
_NAMED = re.compile("test_")
# One or two scripts in a folder of tests are helpers.
_FEWEST_SCRIPTS = 3


def read(tree: Tree) -> Found:
    """A glob for each folder of tests; suites of them, and of folders of shell scripts."""
    globs: Counter[str] = Counter()
    scripts: Counter[str] = Counter()
    for path in tree.files:
        folder, name = posixpath.split(path)
        if name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py")):
            globs[_glob(path, "test_*.py" if name.startswith("test_") else "*_test.py")] += 1
        elif name.endswith(".sh") and not {*_FOLDERS}.isdisjoint(folder.split("/")):
            scripts[f"{folder}/*.sh"] += 1
    chosen = where_tests_are(sorted(glob for glob, _ in globs.most_common(_MOST)), tree)
    suites = []
    if chosen and not test_paths(tree):
        few = tuple(path for path in tree.files if any(matches(path, glob) for glob in chosen))
        suites.append(_suite("tests", "the test files that are there", few if len(few) <= _FEW else chosen))
    if many := sorted(glob for glob, count in scripts.items() if count >= _FEWEST_SCRIPTS)[:_MOST]:
        suites.append(_suite("scripts", "the shell scripts in folders of tests", many))
    return Found(tuple(suites), (), chosen)


def where_tests_are(globs: Sequence[str], tree: Tree) -> tuple[str, ...]:
    """``globs`` without what they take in that holds no test: data that are called as tests are, helpers.

    A glob of a folder and all below it is one of the folders in it, where some of these hold none.
    """
    found: dict[str, None] = {}
    for glob in globs:
        top, deep, name = glob.rpartition("/**/")
        files = [path for path in tree.files if matches(path, glob)]
        holding = [path for path in files if _HOLDS_A_TEST.search(tree.read(path))]
        folders = {_below(path, top) for path in holding}
        barren = {_below(path, top) for path in files} - folders
        within = sorted(folders)
        if all(map(_NAMED.match, folders - {""})) and not any(map(_NAMED.match, barren)):
            within = [*sorted(folders & {""}), "test_*"]
        narrow = {glob: None} if holding or not files else {}
        if deep and holding and barren and len(within) <= _MOST:
            narrow = {f"{top}/{folder}/**/{name}" if folder else f"{top}/{name}": None for folder in within}
        found |= narrow
    return tuple(found)


def _below(path: str, top: str) -> str:
    """The folder right in ``top`` in which a file lies; empty for a file of its own."""
    folder, _, rest = path.removeprefix(f"{top}/").partition("/")
    return folder if rest else ""


def _suite(name: str, about: str, globs: Sequence[str]) -> Suite:
    return Suite(name=name, description=about, tests=tuple(Entry(path=glob) for glob in globs))


def _glob(path: str, pattern: str) -> str:
    """From the outermost folder of tests that holds the file, or its own folder."""
    parts = path.split("/")[:-1]
    for position, part in enumerate(parts):
        if part in _FOLDERS:
            return "/".join([*parts[: position + 1], "**", pattern])
    return "/".join([*parts, pattern])
