"""A real terminal (a pty, painted by pyte) with a real process on it, which types and looks as a person does."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyte
from support import wait_until


class Terminal:
    """``with Terminal(command, …) as terminal:`` the process ends with it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        columns: int = 100,
        lines: int = 40,
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._end, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {**environment, "TERM": "xterm", "COLUMNS": str(columns), "LINES": str(lines)}

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command,
            stdin=other,
            stdout=other,
            stderr=other,
            cwd=directory,
            env=environment,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(other)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._end)

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def shows(self) -> str:
        """The screen as it is now."""
        while select.select([self._end], [], [], 0)[0]:
            try:
                data = os.read(self._end, 1 << 16)
            except OSError:
                # Linux says EIO once nobody has the other end.
                break
            if not data:
                break
            if b"\033[c" in data or b"\033[0c" in data:
                # Who asks what terminal this is waits for the answer: a VT102.
                self.type("\033[?6c")
            self._stream.feed(data)
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def wait_for(self, text: str) -> str:
        """Until the screen holds ``text``; the screen."""
        try:
            return wait_until(lambda: text in (screen := self.shows()) and screen, f"{text!r} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.shows()}") from None
