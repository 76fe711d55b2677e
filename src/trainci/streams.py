"""Standard streams that a command can rely on: neither their encoding nor their reader can end it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TextIO, cast


def reliable(stream: TextIO) -> TextIO:
    """``stream``, on which writing never fails for what its encoding lacks, nor when nobody reads it any more.

    A command whose reader has had enough (``trainci run short | head``) goes on in silence, so that its exit code
    stays true.
    """
    if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
        reconfigure(errors="backslashreplace")
    return cast(TextIO, _Reliable(stream))


class _Reliable:
    """What Python, click and rich need of a text stream. It shows no ``buffer``: click would write past it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding
        self.errors = stream.errors
        self.isatty = stream.isatty
        self.fileno = stream.fileno

    def write(self, text: str) -> int:
        self._unless_unread(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._unless_unread(self._stream.flush)

    def _unless_unread(self, action: Callable[..., object], *arguments: Any) -> None:
        try:
            action(*arguments)
        except BrokenPipeError:
            # What the stream still holds must not fail either, when it is written at exit.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
