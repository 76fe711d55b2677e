"""tox, nox and make for a repository whose CI says nothing of tests: what they run is one suite each."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.adopt.github.jobs import read_job
from trainci.adopt.github.suites import of_job
from trainci.adopt.placed import Items, Table, Text
from trainci.adopt.proposal import Found, Place, Suite
from trainci.adopt.pytest_config import test_paths
from trainci.adopt.tools import nox, tox
from trainci.adopt.tools.makefile import test_goals
from trainci.adopt.tree import Tree


def read(tree: Tree) -> Found:
    """The suite of the first of them that tests."""
    for file, words in _calls(tree):
        if suites := list(_suite(file, words, tree)):
            return Found(tuple(suites))
    return Found()


def _calls(tree: Tree) -> Sequence[tuple[str, list[str]]]:
    """The files, and the commands that run what is in them."""
    ini = "tox.ini" if tree.is_file("tox.ini") else "setup.cfg"
    return (
        (ini, [f"tox -e {name}" if name else "tox" for name in tox.environments(tree)]),
        ("noxfile.py", [f"nox -s {name}" for name, script in nox.sessions(tree).items() if script]),
        ("Makefile", [f"make {goal}" for goal in test_goals(tree.read("Makefile"))]),
    )


def _suite(file: str, words: Sequence[str], tree: Tree) -> list[Suite]:
    name = words[0].split()[0] if words else ""
    steps = [Table({"run": Text(line, 1), "name": Text(line, 1)}, 1) for line in words]
    job = Table({"steps": Items(steps, 1)}, 1)
    suites, reader = read_job(name, job, Table({}, 1), file, tree, test_paths(tree))
    return [suite for suite in of_job(suites, reader, name, Place(file, 1)) if suite.tests]
