"""Globs with the semantics of paths: ``*`` and ``?`` stay within one component, ``**`` crosses them."""

from __future__ import annotations

import re
from functools import lru_cache


def is_glob(text: str) -> bool:
    """Whether ``text`` holds a wildcard."""
    return any(ch in text for ch in "*?[")


def matches(path: str, pattern: str) -> bool:
    """Whether the POSIX path ``path`` as a whole matches ``pattern``. A leading dot is no special case."""
    return _compile(pattern).fullmatch(path) is not None


def literal_directory(pattern: str) -> str:
    """The directory below which every match lies: ``tests/ci`` of ``tests/ci/test_*.py``; may be empty."""
    parts = pattern.split("/")[:-1]
    wild = next((i for i, part in enumerate(parts) if is_glob(part)), len(parts))
    return "/".join(parts[:wild])


@lru_cache(maxsize=256)
def _compile(pattern: str) -> re.Pattern[str]:
    components = pattern.split("/")
    regex = ""
    for position, component in enumerate(components):
        is_last = position == len(components) - 1
        if component == "**":
            regex += ".*" if is_last else "(?:[^/]+/)*"
        else:
            regex += _component(component) + ("" if is_last else "/")
    return re.compile(regex, re.DOTALL)


def _component(component: str) -> str:
    regex, position = "", 0
    while position < len(component):
        ch = component[position]
        position += 1
        if ch == "*":
            regex += "[^/]*"
        elif ch == "?":
            regex += "[^/]"
        elif ch == "[":
            # A "]" right after the opening (or its "!") belongs to the set.
            start = position + (component[position : position + 1] == "!")
            end = component.find("]", start + 1)
            if end < 0:
                regex += re.escape("[")
            else:
                regex += _character_set(component[position:end])
                position = end + 1
        else:
            regex += re.escape(ch)
    return regex


def _character_set(text: str) -> str:
    # fnmatch.translate knows the rules for ranges and odd characters inside brackets.
    import fnmatch

    translated = fnmatch.translate(f"[{text}]")
    body = translated[len("(?s:") : translated.rindex(")")]
    # Not only "[!a]": a range such as "[+-9]" holds the slash, too.
    return f"(?!/){body}"
