"""Tells what happens: sentences for a person on stderr, and for an executor one JSON object a line."""

from __future__ import annotations

import os
import sys
import time

from trainci.lease.store.records import FOREVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from trainci.lease.queue.acquire import Position
    from trainci.lease.queue.hold import Lease
    from trainci.lease.supervise.wrapper import Outcome

# The name under which `gpu-lock-exec` speaks: that of the script that it replaces, whose lines others may read.
LOCK_EXEC = "gpu_lock_exec"


class Reporter:
    """``status_fd`` gets the JSON lines (-1: nobody does); ``count`` is how many devices were asked for."""

    def __init__(self, program: str, status_fd: int, count: int) -> None:
        self._program = program
        self._status_fd = status_fd
        self._count = count
        self._waited = False

    def say(self, sentence: str) -> None:
        """One line for a person."""
        sys.stderr.write(f"{self._program}: {sentence}\n")
        sys.stderr.flush()

    def waiting(self, position: Position) -> None:
        """The wait begins."""
        self._waited = True
        self._emit(event="waiting", ahead=position.ahead)
        if position.note:
            self.say(f"waiting for {self._count} devices: {position.note}.")
            return
        known = position.start < FOREVER
        start = time.strftime("; starts by %H:%M:%S", time.localtime(position.start)) if known else ""
        self.say(f"waiting for {self._count} devices, {position.ahead} requests ahead{start}.")

    def granted(self, lease: Lease) -> None:
        """The devices are ours."""
        indices = [place.index for place in lease.places]
        self._emit(event="granted", devices=list(lease.record.devices), indices=indices, port_base=lease.port_base)
        numbers = ",".join(map(str, indices))
        if self._program == LOCK_EXEC:
            sys.stdout.write(f"[{LOCK_EXEC}] Acquired GPUs: {numbers}\n")
            sys.stdout.flush()
        elif self._waited:
            self.say(f"got devices {numbers} after {lease.record.since - lease.asked_at:.1f} s.")

    def started(self, pid: int) -> None:
        """The command runs."""
        self._emit(event="started", pid=pid)

    def ended(self, outcome: Outcome) -> None:
        """The command and all that it started have ended."""
        how: dict[str, object] = {"signal": outcome.signal} if outcome.signal else {"code": outcome.code or 0}
        if outcome.lost:
            how["lost"] = outcome.lost
        self._emit(event="ended", time_limit=outcome.time_limit, **how)
        if outcome.time_limit:
            self.say("the command was ended at its time limit.")
        for sentence in (outcome.complaint, outcome.lost):
            if sentence:
                self.say(f"{sentence}.")

    def _emit(self, **fields: object) -> None:
        if self._status_fd < 0:
            return
        line = "{" + ", ".join(f"{_json(key)}: {_json(value)}" for key, value in fields.items()) + "}\n"
        try:
            os.write(self._status_fd, line.encode())
        except BrokenPipeError:
            return


def _json(value: object) -> str:
    """JSON of the few kinds of values that are reported (RFC 8259); `json` itself imports `re`, 10 ms."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_json, value))}]"
    if isinstance(value, str):
        units = value.encode("utf-16-be", "surrogatepass")
        codes = [units[i] << 8 | units[i + 1] for i in range(0, len(units), 2)]
        plain = [chr(code) if 32 <= code < 127 and code not in b'"\\' else f"\\u{code:04x}" for code in codes]
        return f'"{"".join(plain)}"'
    return str(value)
