"""Pure: which rank torchrun saw fail first (torch 2.6, "Root Cause (first observed failure)")."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from trainci.verdict.prefixes import Line

_ROOT_RANK = re.compile(r"\s*rank\s*: (\d+) \(local_rank")
_ROOT_CODE = re.compile(r"\s*exitcode\s*: (-?\d+) \(pid")
_ROOT_SIGNAL = re.compile(r"\s*traceback\s*: (Signal \d+ .*)")


@dataclass(frozen=True)
class Root:
    """The rank that a launcher saw fail first, how it ended, and where that stands; its ``signal`` in words."""

    rank: str
    exit_code: int
    line: Line
    signal: Line | None = None


class RootReport:
    """Follows the lines of a log. ``active``: it is within the report, of which each line counts."""

    def __init__(self) -> None:
        self.root: Root | None = None
        self.active = False

    def take(self, line: Line) -> None:
        """Take the next line that is of no exception."""
        if line.text.startswith("Root Cause (first observed failure)"):
            self.active = True
        elif self.active and (match := _ROOT_RANK.match(line.text)):
            self.root = Root(match[1], 0, line)
        elif self.active and self.root and (match := _ROOT_CODE.match(line.text)):
            self.root = Root(self.root.rank, int(match[1]), line)
            self.active = self.root.exit_code < 0
        elif self.active and self.root and (match := _ROOT_SIGNAL.match(line.text)):
            self.root = replace(self.root, signal=line._replace(text=match[1]))
            self.active = False
        elif line.text.startswith("===="):
            self.active = False
