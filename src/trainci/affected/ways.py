"""Pure: the way from a test to the change that reaches it, in words."""

from __future__ import annotations

from collections.abc import Mapping

from trainci.affected.graph import Node, Start, Step
from trainci.text import printable

_MOST_SHOWN = 6


def origin(node: Node, walked: Mapping[Node, Step | None]) -> str:
    """The source that a walk reached ``node`` from."""
    while step := walked[node]:
        node = step.used
    assert isinstance(node, str)
    return node


def way(node: Node, walked: Mapping[Node, Step | None]) -> str:
    """``imports tests/test_a.py → lib/a.py → lib/b.py``, or whatever else leads from ``node`` to its source."""
    parts: list[str] = []
    chain: list[str] = []
    while step := walked[node]:
        if step.hop.kind == "imports":
            chain = chain or [_shown(node)]
            chain.append(_shown(step.used))
        else:
            parts += _chain(chain)
            chain = []
            parts.append(_hop(step))
        node = step.used
    return ", then ".join(parts + _chain(chain))


def _chain(names: list[str]) -> list[str]:
    if len(names) > _MOST_SHOWN:
        names = [*names[: _MOST_SHOWN - 2], "…", names[-1]]
    return [f"imports {' → '.join(names)}"] if names else []


def _hop(step: Step) -> str:
    name, place = printable(step.hop.name), printable(step.hop.place)
    if step.hop.kind == "name":
        return f"the name {name} in {place}"
    if step.hop.kind == "file":
        return f"the file name {name} in {place}"
    if step.hop.kind == "command":
        return f"the command {name} in {place}"
    if step.hop.kind == "above":
        return f"{name} above it"
    if step.hop.kind == "link":
        return f"the link {name}"
    return "`also` of its entry"


def _shown(node: Node) -> str:
    return printable(node.file if isinstance(node, Start) else node)
