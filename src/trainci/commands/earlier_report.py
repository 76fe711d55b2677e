"""The report of an earlier run, which must not stand for a run that is ended before it can write its own.

It is removed before anything else of the command is imported, which takes most of its start.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from trainci.errors import UsageError
from trainci.host import files
from trainci.text import printable

# What begins no run.
_STARTS_NOTHING = {"--dry-run", "-h", "--help"}


def remove_earlier(words: Sequence[str]) -> None:
    """Remove the file that ``--junit`` names among the arguments of ``trainci run``, also of those it cannot read.

    :raises UsageError: something is there that is no file of ours to remove.
    """
    junit = _named(words)
    if junit is None or _STARTS_NOTHING & set(words):
        return
    try:
        files.refuse_special(junit)
        begin = b"" if junit.is_symlink() else files.read_plain(junit, 256).lstrip(b"\xef\xbb\xbf\0 \t\r\n")
        if begin and not begin.startswith(b"<"):
            raise OSError(errno.EEXIST, "it is no report", str(junit))
        junit.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UsageError(
            f"--junit {printable(str(junit))}: what is there cannot be replaced: {error.strerror}."
        ) from None


def _named(words: Sequence[str]) -> Path | None:
    named = ""
    for word, following in pairwise([*words, ""]):
        if word == "--junit":
            named = following
        elif word.startswith("--junit="):
            named = word.removeprefix("--junit=")
    return Path(named) if named else None
