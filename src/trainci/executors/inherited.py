"""Pure: which variables of ours a job inherits."""

from __future__ import annotations

from collections.abc import Mapping

from trainci.catalog.always_green import hidden_by
from trainci.github.actions import FILE_VARIABLES


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What of ``environment`` a job gets.

    What it is not told, it does not write into by mistake, or in the name of this step; and what would hide its
    failures is none of its own.
    """
    return {
        name: value
        for name, value in environment.items()
        if name not in FILE_VARIABLES and not hidden_by(name, value)
    }
