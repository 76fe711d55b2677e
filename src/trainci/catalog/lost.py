"""Pure: a result of tests that goes nowhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LostResult:
    """A result that goes nowhere. ``what`` happens at ``line``, ``mend`` says how it would count.

    ``certain``: the block always comes there and nothing else decides, so a green run says nothing.
    """

    line: int
    what: str
    mend: str
    certain: bool

    def __str__(self) -> str:
        return f"{self.what}, so a failure is green. {self.mend}"
