"""A file to which another process appends lines, read on from where the last look ended, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainci.host.files import open_plain


class Tail:
    """The lines of ``file``, each given once. One of more than ``longest`` bytes is left out."""

    def __init__(self, file: Path, longest: int) -> None:
        self._file = file
        self._longest = longest
        self._at = 0
        self._too_long = False

    def lines(self) -> Iterator[bytes]:
        """Those that are new and whole: one that is still being written is given when it has its end."""
        try:
            stream = open_plain(self._file)
        except OSError:
            return
        with stream:
            stream.seek(self._at)
            while piece := stream.readline(self._longest):
                whole = piece.endswith(b"\n")
                if not whole and len(piece) < self._longest:
                    return
                self._at += len(piece)
                given = whole and not self._too_long
                self._too_long = not whole
                if given:
                    yield piece
