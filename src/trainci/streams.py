"""Standard streams that a command can rely on: no encoding, reader or full disk can end it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import TextIO, cast

_BUFFERED_BYTES = 8192
# As much as an unprivileged process may make a pipe hold (pipe(7), /proc/sys/fs/pipe-max-size).
_LARGEST_PIPE = 1 << 20
_F_SETPIPE_SZ = 1031  # fcntl(2); Python's module names it from 3.10 on, where its build knew it


def open_closed() -> None:
    """Open what was closed (``>&-``) on nothing, or the next file that is opened takes its place."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free is this one; a process that we start needs it, too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def reliable(stream: TextIO | None, name: str, complain: Callable[[str], object] = lambda _: None) -> TextIO:
    """``stream`` (None: it was closed), on which writing never fails.

    What its encoding lacks is escaped. A command whose reader is gone (``trainci run short | head``) goes on
    in silence, so that its exit code stays true. A reader that is slow is waited for, also where somebody else has
    made the pipe non-blocking. Whatever else goes wrong (a full disk) is told once by ``complain``.
    """
    if stream is None:
        complain(f"{name} is closed: what is written there is lost; the exit code says how it went.")
        stream = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    try:
        descriptor = stream.fileno()
    except (OSError, io.UnsupportedOperation):
        descriptor = -1
    return cast(TextIO, _Reliable(stream, descriptor, name, complain))


def make_reliable() -> None:
    """Make ``sys.stdout`` and ``sys.stderr`` reliable, for a process that has only its exit code to keep true."""
    open_closed()
    sys.stdout, sys.stderr = reliable(sys.stdout, "standard output"), reliable(sys.stderr, "standard error")


def widen(descriptor: int) -> None:
    """Make a pipe hold more, so that its writer and its reader wait for each other less often."""
    with contextlib.suppress(OSError):  # it is none, or others hold as much as this user may have in pipes
        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, _LARGEST_PIPE)


class _Reliable:
    """What Python, click and rich need of a text stream. It shows no ``buffer``: click would write past it."""

    def __init__(self, stream: TextIO, descriptor: int, name: str, complain: Callable[[str], object]) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._name = name
        self._complain = complain
        self._pending = b""
        self._lost = False
        self._lock = threading.Lock()
        self.encoding = stream.encoding or "utf-8"
        self.errors = "backslashreplace"
        self.isatty = stream.isatty
        self.fileno = stream.fileno

    def write(self, text: str) -> int:
        with self._lock:
            self._pending += text.encode(self.encoding, self.errors)
            if len(self._pending) >= _BUFFERED_BYTES:
                self._write_out()
        return len(text)

    def flush(self) -> None:
        if not self._pending:
            # Another thread may be writing to a terminal that takes nothing; one that has nothing to write goes on.
            return
        with self._lock:
            self._write_out()

    def _write_out(self) -> None:
        pending, self._pending = self._pending, b""
        if self._lost:
            return
        try:
            self._write_all(pending)
        except OSError as error:
            self._lost = True
            if error.errno != errno.EPIPE:
                self._complain(
                    f"{self._name} cannot be written: {error.strerror}. What is written there from now on is lost; "
                    "the exit code and the reports stay true."
                )

    def _write_all(self, data: bytes) -> None:
        if self._descriptor < 0:
            self._stream.write(data.decode(self.encoding))
            self._stream.flush()
            return
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
