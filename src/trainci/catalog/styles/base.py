"""The promise of a test style: how its files are known, what they declare, and by which command a test starts."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from trainci.catalog.declarations import parse
from trainci.catalog.source import read_source
from trainci.model.tests import Declarations
from trainci.selection.resolve import Commands


@dataclass(frozen=True)
class Source:
    """What an entry starts, read once and only when a style asks.

    ``file`` is relative to ``root``, or empty; ``words`` are those of a command, and the arguments of either.
    """

    root: Path
    file: str
    words: tuple[str, ...] = ()

    @cached_property
    def text(self) -> bytes:
        """What it holds.

        :raises OSError: it cannot be read, or is not to be.
        """
        return read_source(self.root, self.file)

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree as Python.

        :raises OSError: it cannot be read, or is not to be.
        :raises SyntaxError, ValueError, RecursionError, MemoryError: it is no Python.
        """
        return parse(self.text)

    @property
    def is_folder(self) -> bool:
        """It holds tests instead of being one."""
        return (self.root / self.file).is_dir()


def as_word(file: str) -> str:
    """``file`` as a word of a command: no program takes it for an option."""
    return f"./{file}" if file.startswith("-") else file


class Style(Commands, Protocol):
    """One way to write and start tests. What Source raises, ``recognises`` and ``read`` may let through."""

    @property
    def suffix(self) -> str:
        """How the names of its files end: others, a glob of tests leaves out. Empty for a style without files."""

    def recognises(self, source: Source) -> bool:
        """Is the file written in this style?"""

    def read(self, source: Source) -> Declarations:
        """What the file declares, without running it."""
