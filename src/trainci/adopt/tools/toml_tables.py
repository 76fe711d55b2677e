"""Tables of the repository's TOML files, whatever these hold."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from trainci.adopt.tree import Tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@lru_cache(maxsize=8)
def toml(tree: Tree, file: str) -> dict[str, Any]:
    """The file's document, an empty one where it is none. A script may ask for it in every line."""
    try:
        return tomllib.loads(tree.read(file))
    except (ValueError, RecursionError):  # a number of too many digits is a plain ValueError
        return {}


def at(table: object, *keys: str) -> dict[str, Any]:
    """The table at these keys, an empty one where there is none."""
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else {}
