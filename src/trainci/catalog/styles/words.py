"""Tests that are no file: ``python -m MODULE ARGS…``, and any other words."""

from __future__ import annotations

from trainci.catalog.styles.base import Source
from trainci.model import Declarations, Entry


class Module:
    """See Style: what ``module`` of an entry names."""

    suffix = ""
    leaves_results = False

    def recognises(self, source: Source) -> bool:
        """See Style."""
        return False

    def read(self, source: Source) -> Declarations:
        """See Style: it has no place for a declaration."""
        return Declarations(needs_count=False)

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """See Commands."""
        return (*python, "-m", entry.module, *entry.args)


class Words(Module):
    """See Style: what ``command`` of an entry holds."""

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """See Commands."""
        return (*entry.command, *entry.args)
