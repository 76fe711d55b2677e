"""Runs one command: output streamed as it comes, a time limit that holds, secrets kept out of sight."""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from trainci.errors import EXIT_FAILED, TrainciError
from trainci.output.redaction import Redactor, redact
from trainci.testing.marked import MarkedProcesses
from trainci.testing.secrets import with_environment

KEPT_BYTES = 1 << 20
"""How much of a command's output is kept in memory, from its end."""
LAST_LINES = 30
"""How many lines of output a failure shows."""
_READ_BYTES = 1 << 16
_PIPE_BYTES = 1 << 20  # the most that Linux lets an unprivileged pipe hold
_LOOK_AGAIN_S = 0.1
_SHORT_S = 0.01


class CommandError(TrainciError):
    """A command failed, did not start, or did not end in time.

    ``command`` is the command as it is shown (secrets masked), ``code`` its exit code (negative: the signal
    that ended it), ``output`` the end of what it printed.
    """

    exit_code = EXIT_FAILED

    def __init__(self, what: str, *, command: str, code: int, output: str) -> None:
        lines = output.splitlines()[-LAST_LINES:]
        shown = "\n".join(f"  {line}" for line in lines) if lines else "  (it printed nothing)"
        super().__init__(f"{what}: {command}\nlast lines of its output:\n{shown}")
        self.command = command
        self.code = code
        self.output = output


def exec_command(
    command: str | Sequence[str | os.PathLike[str]],
    *,
    timeout: float | None = None,
    secret: Iterable[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
) -> str:
    """Run ``command`` and return what it printed (stdout and stderr together, the last MiB of it).

    A list is run as it stands; a string by bash with ``pipefail``, so that ``false | tee log`` fails.
    The output also goes to stdout as it comes. It ends with the command: a background process that keeps
    the pipe open is not waited for. ``timeout`` is in seconds; after it, every process of the command is ended,
    first with SIGTERM, then with SIGKILL. ``env`` is added to the environment. The strings of ``secret``
    are shown as ``***`` wherever they occur in the command or its output, and in what is returned; so are
    the values of ``WANDB_API_KEY`` and ``HF_TOKEN``.

    :raises CommandError: the command exits with another code than 0, cannot be started or runs too long.
    """
    secrets = with_environment(secret, env)
    words = command if isinstance(command, str) else [os.fspath(word) for word in command]
    argv = ["bash", "-o", "pipefail", "-c", words] if isinstance(words, str) else words
    shown = _show(words, secrets)
    _write(f"$ {shown}\n".encode())
    output = _Output(Redactor(secrets))
    processes = MarkedProcesses()
    try:
        try:
            process = processes.start(
                argv, env={**os.environ, **(env or {})}, output=subprocess.PIPE, errors=subprocess.STDOUT, cwd=cwd
            )
        except OSError as error:
            what = f"cannot start ({error.strerror}: {error.filename})"
            raise CommandError(redact(what, secrets), command=shown, code=127, output="") from None
        assert process.stdout is not None
        with process.stdout as pipe:
            in_time = _stream(process, pipe, output, timeout)
            if not in_time:
                processes.end()
                _stream(process, pipe, output, None)  # what it said on its way out
    except BaseException:
        processes.end()
        raise
    printed = output.finish()
    if not in_time:
        what = f"still running after {timeout:g} s, so it was ended"
    elif process.returncode:
        what = f"failed with exit code {process.returncode}"
    else:
        return printed
    raise CommandError(what, command=shown, code=process.returncode, output=printed)


def _show(command: str | Sequence[str], secrets: list[str]) -> str:
    if isinstance(command, str):
        # A secret with special characters stands in a shell string in its quoted form.
        return redact(command, [*secrets, *map(shlex.quote, filter(None, secrets))])
    # Masked before it is quoted, since quoting may break a secret into pieces.
    return shlex.join(redact(word, secrets) for word in command)


class _Output:
    """Shows what comes and keeps the end of it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        self._add(self._redactor.feed(data))

    def finish(self) -> str:
        self._add(self._redactor.flush())
        return self._kept[-KEPT_BYTES:].decode(errors="replace")

    def _add(self, data: bytes) -> None:
        _write(data)
        self._kept += data
        if len(self._kept) > 2 * KEPT_BYTES:
            del self._kept[:-KEPT_BYTES]


def _stream(process: subprocess.Popen[bytes], pipe: IO[bytes], output: _Output, timeout: float | None) -> bool:
    """Pass the output on until the process has ended (True) or its time is over (False)."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)

        def read(wait: float) -> bool:
            """False when there was nothing to read, at the end of the output too."""
            data = os.read(pipe.fileno(), _READ_BYTES) if selector.select(wait) else b""
            output.feed(data)
            return bool(data)

        while process.poll() is None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            if not read(min(remaining, _LOOK_AGAIN_S)):
                # Either a quiet moment, or it closed its output and runs on.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_SHORT_S)
        # What it left in the pipe; a background process may go on writing, so not until the end of the file.
        for _ in range(_PIPE_BYTES // _READ_BYTES):
            if not read(0):
                break
    return True


def _write(data: bytes) -> None:
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:  # a text stream that stands in for the real one
        sys.stdout.write(data.decode(errors="replace"))
    else:
        sys.stdout.flush()
        stream.write(data)
    sys.stdout.flush()
