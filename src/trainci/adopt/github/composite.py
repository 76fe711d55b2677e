"""Composite actions of the repository, and what an action or a called workflow is given."""

from __future__ import annotations

import re
from functools import lru_cache

from trainci.adopt.github.expressions import Context, substitute
from trainci.adopt.placed import Table, Text, load_table
from trainci.adopt.tree import Tree

_BY_FULL_NAME = re.compile(r"[\w.-]+/[\w.-]+/([^@]+)@.+", re.DOTALL)


def in_full(tree: Tree, uses: str, given: Table) -> str:
    """What ``uses`` names, as ``./PATH`` where it is this repository's by its full name, ``OWNER/NAME/PATH@REF``.

    Nothing here knows the repository's name: what stands at that path and takes all that it is given is its own.
    """
    named = _BY_FULL_NAME.fullmatch(uses)
    if named is None:
        return uses
    path = named.group(1)
    table = load_table(tree.read(action_file(tree, path) or path)) or Table({}, 1)
    on = table.get("on")
    declared = on.table("workflow_call").table("inputs") if isinstance(on, Table) else table.table("inputs")
    return f"./{path}" if declared and given.keys() <= declared.keys() else uses


def action_file(tree: Tree, uses: str) -> str:
    """The file of an action of this repository, "" for none."""
    folder = uses.removeprefix("./").rstrip("/")
    named = (f"{folder}/{name}" for name in ("action.yml", "action.yaml"))
    return next((path for path in named if tree.is_file(path)), "")


def composite_action(tree: Tree, uses: str) -> Table | None:
    """The action of this repository with steps of its own; None for another."""
    path = action_file(tree, uses)
    return _with_steps(tree.read(path)) if path else None


@lru_cache(maxsize=64)
def _with_steps(text: str) -> Table | None:
    """Kept, as every job of every workflow may use the same few."""
    action = load_table(text)
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
