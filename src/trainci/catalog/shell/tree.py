"""Pure: what a shell script is made of: its commands, as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Simple:
    """One command: its words as written, without assignments before it and redirections; ``given`` it to read.

    ``asks``: a condition asks it about the machine, as ``if python -c 'import torch'`` does; it is no test.
    """

    line: int
    words: tuple[str, ...]
    assigned: tuple[str, ...] = ()
    substituted: tuple[Sequence[Node], ...] = ()
    given: str = ""
    asks: bool = False


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Commands that read one another's output."""

    line: int
    parts: Sequence[Node]
    negated: bool = False


@dataclass(frozen=True, eq=False)
class AndOr:
    """``left && right`` or ``left || right``."""

    line: int
    left: Node
    operator: str
    right: Node


@dataclass(frozen=True, eq=False)
class Background:
    """What ends in ``&``."""

    line: int
    body: Node


@dataclass(frozen=True, eq=False)
class Group:
    """``{ …; }``, or ``( … )`` in a shell of its own."""

    line: int
    body: Sequence[Node]
    subshell: bool = False


@dataclass(frozen=True, eq=False)
class If:
    """Conditions with what follows each, and what follows none."""

    line: int
    branches: Sequence[tuple[Sequence[Node], Sequence[Node]]]
    otherwise: Sequence[Node] = ()


@dataclass(frozen=True, eq=False)
class Loop:
    """``while`` and ``until`` with a condition, ``for`` with words (None: those that the script got)."""

    line: int
    condition: Sequence[Node]
    body: Sequence[Node]
    words: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """A ``case``: its word, and each body with the patterns before it."""

    line: int
    word: str
    branches: Sequence[tuple[tuple[str, ...], Sequence[Node]]]


@dataclass(frozen=True, eq=False)
class Function:
    """A definition."""

    line: int
    name: str
    body: Node


Node = Simple | Pipeline | AndOr | Background | Group | If | Loop | Case | Function


def simple_commands(nodes: Sequence[Node]) -> Iterator[Simple]:
    """Every single command below ``nodes``, wherever it stands; what ``$(…)`` holds is not among them."""
    return (node for node in every_node(nodes) if isinstance(node, Simple))


def every_node(nodes: Sequence[Node]) -> Iterator[Node]:
    """``nodes`` and all below them, as they stand in the script."""
    todo = list(reversed(nodes))
    while todo:
        node = todo.pop()
        yield node
        todo += reversed(_children(node))


def _children(node: Node) -> list[Node]:
    if isinstance(node, Pipeline):
        return list(node.parts)
    if isinstance(node, AndOr):
        return [node.left, node.right]
    if isinstance(node, (Background, Function)):
        return [node.body]
    if isinstance(node, Group):
        return list(node.body)
    if isinstance(node, If):
        return [one for condition, body in node.branches for one in (*condition, *body)] + list(node.otherwise)
    if isinstance(node, Loop):
        return [*node.condition, *node.body]
    return [one for _, body in node.branches for one in body] if isinstance(node, Case) else []
