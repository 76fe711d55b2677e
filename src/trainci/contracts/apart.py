"""Checks hooks in another process: one that never returns, exits or crashes breaks its contract, and no more."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from trainci.contracts.checking import Verdict, check
from trainci.contracts.contract import Contract
from trainci.contracts.limit import USUAL, Limit

# How long a hook has to obey the exception that tells it that its time is over.
_GRACE_S = 5.0
_POLL_S = 0.05
_SHOWN_PLACES = 8
_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep  # noqa: PTH120
_LATE = "late"
_SAID = ("problem", "came", "sample", "not_called")


def check_apart(
    hooks: Sequence[tuple[Contract, str]],
    settings: Mapping[str, object] | None,
    shown: Sequence[str],
    limit: Limit = USUAL,
) -> Iterator[Verdict]:
    """A verdict for each hook, as ``check`` gives it; what follows one that ended its process has another."""
    left = list(hooks)
    while left:
        with _Child(left, settings, shown, limit) as child:
            while left:
                contract, path = left.pop(0)
                said = child.answer(limit.seconds + 2 * _GRACE_S)
                yield Verdict(contract, path, **(said or {"problem": child.end(limit)}))
                if said is None:
                    break


class _Child:
    """``with _Child(…) as child:`` it ends with it, and every process of its group."""

    def __init__(
        self,
        hooks: Sequence[tuple[Contract, str]],
        settings: Mapping[str, object] | None,
        shown: Sequence[str],
        limit: Limit,
    ) -> None:
        self._read, write = os.pipe()
        self._stack = tempfile.TemporaryFile()
        self._text = b""
        self._late = ""
        self._status: int | None = None
        _flush()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._read)
            _work(hooks, settings, shown, limit, write, self._stack.fileno())
        os.close(write)

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        self._has_ended(wait=True)
        os.close(self._read)
        self._stack.close()

    def answer(self, seconds: float) -> dict[str, str] | None:
        """What it says of the next hook; None: it has ended, or not answered in ``seconds``."""
        until = time.monotonic() + seconds
        while b"\n" not in self._text:
            # A process that it forked may hold the pipe open.
            ended = self._has_ended()
            if select.select([self._read], [], [], 0 if ended else _POLL_S)[0]:
                data = os.read(self._read, 1 << 16)
                self._text += data
                if data:
                    continue
            if ended or time.monotonic() > until:
                return None
        line, _, self._text = self._text.partition(b"\n")
        said: dict[str, str] = json.loads(line)
        if _LATE not in said:
            return said
        self._late = said[_LATE]
        return self.answer(2 * _GRACE_S)

    def end(self, limit: Limit) -> str:
        """End it; what it did in the place of an answer, with its stack where that is known."""
        if self._late:
            return f"obeys no exception; it {self._late}"
        if not self._has_ended():
            said = f"obeys no exception; it has not ended after {limit.seconds:g} s"
            if not self._places():
                # Its handler writes the stack, in C too.
                os.kill(self._pid, signal.SIGABRT)
                self._wait(_GRACE_S)
        elif os.WIFSIGNALED(status := self._status or 0):
            said = f"ended its process by {signal.Signals(os.WTERMSIG(status)).name}"
        else:
            said = f"ended its process with exit code {os.WEXITSTATUS(status)}"
        places = self._places()
        return "\n".join([f"{said}; it was at", *places] if places else [said])

    def _places(self) -> list[str]:
        """Where the process was when it was looked at, the innermost last."""
        self._stack.seek(0)
        text = self._stack.read(1 << 16).decode(errors="replace")
        # The thread that the hook was called in is the last one.
        lines = text.rpartition("(most recent call first):")[2].splitlines()
        places = [line.strip() for line in lines if line.startswith("  File ")]
        own = [place for place in places if _OURS not in place]
        return (own or places)[_SHOWN_PLACES - 1 :: -1]

    def _has_ended(self, wait: bool = False) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self._pid, 0 if wait else os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._has_ended() and time.monotonic() < until:
            time.sleep(_POLL_S)


def _work(
    hooks: Sequence[tuple[Contract, str]],
    settings: Mapping[str, object] | None,
    shown: Sequence[str],
    limit: Limit,
    write: int,
    stack: int,
) -> NoReturn:
    """What the child does: a line for each verdict. It waits for no thread that a hook has left."""
    own = os.getpid()
    try:
        os.setsid()
        faulthandler.enable(stack)
        with os.fdopen(write, "w") as answers:

            def say(**said: str) -> None:
                print(json.dumps(said), file=answers, flush=True)

            limit = replace(limit, tell=lambda where: say(**{_LATE: where}))
            for contract, path in hooks:
                # By a thread in C, for what blocks every signal.
                faulthandler.dump_traceback_later(limit.seconds + _GRACE_S, file=stack)
                verdict = check(contract, path, settings, shown, limit)
                faulthandler.cancel_dump_traceback_later()
                if os.getpid() != own:
                    # A hook has forked, and both come back from it.
                    break
                _flush()
                say(**{name: getattr(verdict, name) for name in _SAID})
    except BaseException:
        traceback.print_exc()
        _flush()
        os._exit(1)
    os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
