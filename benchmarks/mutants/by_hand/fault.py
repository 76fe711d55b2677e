"""A fault made by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """``old`` stands once in ``file``; ``new`` stands there instead."""

    what: str
    met: str
    """An issue or a pull request of the trainer that had it; "common": every trainer can have it, and no report
    was looked up."""
    file: str
    old: str
    new: str
