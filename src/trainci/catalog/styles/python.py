"""``python FILE ARGS…``: a file that is a program, by its ``__main__`` block."""

from __future__ import annotations

from dataclasses import replace

from trainci.catalog.declarations import constants
from trainci.catalog.main_block import is_phased, main_blocks
from trainci.catalog.styles.base import Source
from trainci.model import Declarations, Entry

_NO_MAIN_BLOCK = (
    'no `if __name__ == "__main__":` block: run as `python FILE` it does nothing and looks green. '
    "Add one that runs the tests."
)


class PythonFile:
    """See Style."""

    suffix = ".py"

    def recognises(self, source: Source) -> bool:
        """See Style."""
        return True

    def read(self, source: Source) -> Declarations:
        """See Style."""
        remarks = () if main_blocks(source.tree) else ((1, _NO_MAIN_BLOCK),)
        return replace(constants(source.tree, source.file), phased=is_phased(source.tree), remarks=remarks)

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """See Commands."""
        return (*python, entry.file, *entry.args)
