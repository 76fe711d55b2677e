"""``torchrun FILE ARGS…``: one process a device. It is never recognised, as such a file looks like any other."""

from __future__ import annotations

from dataclasses import replace

from trainci.catalog.styles.base import Source, as_word
from trainci.catalog.styles.python import PythonFile
from trainci.errors import UsageError
from trainci.model.tests import Declarations, Entry


class Torchrun:
    """See Style."""

    suffix = ".py"
    leaves_results = False
    _program = PythonFile()

    def recognises(self, source: Source) -> bool:
        """See Style."""
        return False

    def read(self, source: Source) -> Declarations:
        """See Style."""
        return replace(self._program.read(source), phased=False, framework="", hands_over=False, needs_count=True)

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """See Commands. The lease's ports reach it by PET_MASTER_PORT, which torchrun reads."""
        if num_gpus == 0:
            raise UsageError(
                "torchrun starts one process a device, and this test has none. Write NUM_GPUS = N in the file, or "
                "num_gpus = N in its entry."
            )
        torchrun = (*python, "-m", "torch.distributed.run", f"--nproc-per-node={num_gpus}")
        return (*torchrun, as_word(entry.file), *entry.args)
