"""The zip of a job's artifacts as a folder, as CI systems hand one out."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LARGEST = 4 << 30
_MOST_FILES = 100_000


class NotUnpacked(ValueError):
    """The archive cannot be unpacked; the message says why."""


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """A folder with what ``archive`` holds, for a while. No file of it is written outside, whatever it is called.

    :raises NotUnpacked: it is broken or encrypted, or holds more than anybody leaves of a run.
    :raises OSError: it cannot be read, or there is no room for it.
    """
    with tempfile.TemporaryDirectory(prefix="trainci-import-") as folder:
        try:
            with zipfile.ZipFile(archive) as found:
                entries = found.infolist()
                if len(entries) > _MOST_FILES or sum(entry.file_size for entry in entries) > _LARGEST:
                    raise NotUnpacked(f"it holds more than {_MOST_FILES:,} files or {_LARGEST >> 30} GiB")
                found.extractall(folder)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
            raise NotUnpacked(str(error)) from None
        yield Path(folder)
