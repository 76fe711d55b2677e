"""Reads the source of a test: bounded, and never beyond the repository's root."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from trainci.host.files import open_plain

# A syntax tree may take nine hundred times the memory of its source.
_LARGEST_PARSED = 2**19
_LARGEST_SEARCHED = 2**23
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def read_source(root: Path, file: str, *, parsed: bool = True) -> bytes:
    """The content of a test file; one that is not ``parsed`` may be sixteen times as large.

    :raises OSError: it cannot be read; also where it is too large, or a link that leads outside the repository.
    """
    path = f"{root}/{file}"
    if not os.path.realpath(path).startswith(os.path.join(os.path.realpath(root), "")):  # noqa: PTH118
        raise OSError(errno.EXDEV, "a link that leads outside the repository. Put the file here")
    # What it leads to: a pipe may be in a file's place, at which an open waits for ever.
    most = _LARGEST_PARSED if parsed else _LARGEST_SEARCHED
    with open_plain(Path(os.path.realpath(path))) as source:
        content = source.read(most + 1)
    if content.startswith(_LFS_POINTER):
        raise OSError(errno.ENODATA, "a pointer of Git LFS, and its content is not here. Fetch it: `git lfs pull`")
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most >> 10} KiB. Move what makes it large into a data file")
    return content
