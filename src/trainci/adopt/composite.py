"""Composite actions of the repository, and what an action or a called workflow is given."""

from __future__ import annotations

from trainci.adopt.expressions import Context, substitute
from trainci.adopt.placed import Table, Text, load_table
from trainci.adopt.tree import Tree


def action_file(tree: Tree, uses: str) -> str:
    """The file of an action of this repository, "" for none."""
    folder = uses.removeprefix("./").rstrip("/")
    named = (f"{folder}/{name}" for name in ("action.yml", "action.yaml"))
    return next((path for path in named if tree.is_file(path)), "")


def composite_action(tree: Tree, uses: str) -> Table | None:
    """The action of this repository with steps of its own; None for another."""
    if not (path := action_file(tree, uses)):
        return None
    action = load_table(tree.read(path))
    return action if action is not None and action.table("runs").items_of("steps") else None


def inputs(declared: Table, given: Table, context: Context) -> Table:
    """What an action or a called workflow gets: its defaults, and what is given to it."""
    made = Table({}, given.line)
    for name, value in declared.items():
        if isinstance(value, Table):
            made[name] = value.text("default")
    for name, value in given.items():
        if isinstance(value, Text):
            made[name] = substitute(value, context)[0]
    return made
