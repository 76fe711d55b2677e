"""Globs with the semantics of paths: ``*`` and ``?`` stay within one component, ``**`` crosses them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from functools import lru_cache


def is_glob(text: str) -> bool:
    """Whether ``text`` holds a wildcard."""
    return any(ch in text for ch in "*?[")


def matches(path: str, pattern: str) -> bool:
    """Whether the POSIX path ``path`` as a whole matches ``pattern``. A leading dot is no special case.

    The time is bounded by the product of both lengths, whatever the pattern is.
    """
    return _matches(path.split("/"), _components(pattern))


def literal_directory(pattern: str) -> str:
    """The directory below which every match lies: ``tests/ci`` of ``tests/ci/test_*.py``; may be empty."""
    parts = pattern.split("/")[:-1]
    wild = next((i for i, part in enumerate(parts) if is_glob(part)), len(parts))
    return "/".join(parts[:wild])


def _matches(names: Sequence[str], components: Sequence[re.Pattern[str] | None]) -> bool:
    # Only the last "**" is ever given another name to cross: what an earlier one crossed cannot matter any more.
    name = component = 0
    retry: tuple[int, int] | None = None
    while name < len(names):
        wanted = components[component] if component < len(components) else _NOTHING
        if wanted is None:
            if component == len(components) - 1:
                return True
            component += 1
            retry = (name, component)
        elif wanted.fullmatch(names[name]):
            name, component = name + 1, component + 1
        elif retry is not None and names[retry[0]]:
            retry = (retry[0] + 1, retry[1])
            name, component = retry
        else:
            return False
    return component == len(components)


_NOTHING = re.compile(r"(?!)")


@lru_cache(maxsize=256)
def _components(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """A pattern for each component; None for one that crosses any number of them."""
    # fnmatch gives nothing back that a "*" has taken once what follows it is found.
    return tuple(None if part == "**" else re.compile(fnmatch.translate(part)) for part in pattern.split("/"))
