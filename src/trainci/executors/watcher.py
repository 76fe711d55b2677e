"""Follows one lease process: its output into the log and to whoever shows it, its reports into events."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
import signal
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from trainci.executors import results
from trainci.executors.base import Emit, Job, Show
from trainci.executors.launcher import Launched
from trainci.lease import protocol
from trainci.model import events
from trainci.model.run import Cause, Ending, Results
from trainci.output.redaction import Redactor

# How long output may still trickle in after the lease process has gone, at one time and in all, before the log is
# closed regardless.
_DRAIN_S = 2.0
_LONGEST_DRAIN_S = 10.0
# How often it is looked whether output is wanted again.
_HELD_BACK_S = 0.02
# As much as an unprivileged process may make a pipe hold (pipe(7), /proc/sys/fs/pipe-max-size).
_CHUNK = 1 << 20
_F_SETPIPE_SZ = 1031  # fcntl(2); Python's module names it from 3.10 on, where its build knew it
_LAST_WORDS = 4096


def open_log(path: Path) -> io.FileIO:
    """The log of an attempt, to append to. A test could have put something else in its place.

    :raises OSError: there is something else, or it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, f"{path.name} is no plain file")
    # Without a buffer, which would hold on to what a full disk refused.
    return io.FileIO(descriptor, "a")


class Watcher:
    """One job's. What happens is told while nobody wants its output, too; the log has every byte first."""

    def __init__(
        self,
        job: Job,
        launched: Launched,
        output: int,
        status: int,
        log: io.FileIO,
        secrets: Sequence[str],
        emit: Emit,
        show: Show,
        clock: Callable[[], float],
    ) -> None:
        self._job = job
        self._of_job = (job.test.id, job.attempt, job.phase)
        self._launched = launched
        self._output = output
        self._status = status
        self._log = log
        self._redactor = Redactor(secrets)
        self._emit = emit
        self._show = show
        self._clock = clock
        self._pending = b""
        self._last_words = b""
        self._ending: Ending | None = None
        self._fault = ""

    def run(self) -> None:
        """Follow it to its end."""
        try:
            self._follow()
            self._pass_on(self._redactor.flush())
        finally:
            code = self._launched.wait()
            os.close(self._status)
            os.close(self._output)
            self._log.close()
            left = self._masked(results.collect(self._job))
            self._emit(events.Ended(self._clock(), *self._of_job, self._ended(code), left))

    def _follow(self) -> None:
        with contextlib.suppress(OSError):  # others hold as much as this user may have in pipes
            fcntl.fcntl(self._output, _F_SETPIPE_SZ, _CHUNK)
        while True:
            # Once the job has ended, the lease process has a word to say before it goes.
            if self._ending is not None or self._show.has_room():
                ready = _readable([self._status, self._output], None)
            else:
                ready = _readable([self._status], _HELD_BACK_S)
            if self._output in ready and not self._take_output():
                break
            # The status descriptor closes with the lease process; output may be held open a moment longer.
            if self._status in ready and not self._take_status():
                self._drain()
                return
        while self._take_status():
            continue

    def _drain(self) -> None:
        """What is still in the pipe, wanted or not."""
        give_up_at = time.monotonic() + _LONGEST_DRAIN_S
        while time.monotonic() < give_up_at and _readable([self._output], _DRAIN_S) and self._take_output():
            continue

    def _take_output(self) -> bool:
        data = os.read(self._output, _CHUNK)
        self._pass_on(self._redactor.feed(data))
        return bool(data)

    def _pass_on(self, data: bytes) -> None:
        if not data:
            return
        if not self._fault:
            self._write_log(data)
        self._last_words = (self._last_words + data[-_LAST_WORDS:])[-_LAST_WORDS:]
        self._show(events.Output(self._clock(), *self._of_job, data))

    def _write_log(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._log.write(rest) :]
        except OSError as error:
            self._lose(f"its log cannot be written: {error.strerror}")

    def _take_status(self) -> bool:
        data = os.read(self._status, _CHUNK)
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            try:
                self._on_report(protocol.load(line))
            except ValueError:
                self._lose(f"its lease said what is no report: {line!r}")
        return bool(data)

    def _on_report(self, report: protocol.Report) -> None:
        now = self._clock()
        match report:
            case protocol.Waiting():
                self._emit(events.Waiting(now, *self._of_job, report.ahead))
            case protocol.Granted():
                self._emit(events.Granted(now, *self._of_job, report.devices))
            case protocol.Started():
                self._emit(events.Started(now, *self._of_job, report.pid))
            case protocol.Ended():
                self._ending = ending_of(report)

    def _masked(self, left: Results | None) -> Results | None:
        """What the test wrote itself, and not through us."""
        if left is None:
            return None
        mask = self._redactor.mask
        items = (replace(item, name=mask(item.name), message=mask(item.message)) for item in left.items)
        return Results(tuple(items), mask(left.fault))

    def _lose(self, fault: str) -> None:
        self._fault = fault
        self._launched.terminate()

    def _ended(self, code: int | None) -> Ending:
        if self._fault:
            return Ending(Cause.LOST, detail=self._fault)
        if self._ending is None:
            last = self._last_words.decode("utf-8", "replace").strip().splitlines()
            said = f": {last[-1]}" if last else ""
            how = "" if code is None else f" with {code}"
            fault = f"the process that held the lease ended{how} and no report{said}"
            return Ending(Cause.LOST, detail=fault)
        return self._ending


def _readable(descriptors: list[int], timeout: float | None) -> set[int]:
    """Those that can be read, or have ended; waits up to ``timeout`` seconds."""
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poller.poll(None if timeout is None else timeout * 1000)}


def ending_of(report: protocol.Ended) -> Ending:
    """What a lease's report means to a run."""
    if report.time_limit:
        cause = Cause.TIMED_OUT
    elif report.lost:
        cause = Cause.LOST
    else:
        cause = Cause.SIGNALLED if report.signal else Cause.EXITED
    return Ending(cause, report.code, report.signal, report.lost or _want_of_memory(report))


def _want_of_memory(report: protocol.Ended) -> str:
    """What the kernel says of a SIGKILL, which a shell tells as 137."""
    if not report.oom_kills or (report.signal, report.code) not in ((signal.SIGKILL, None), (None, 137)):
        return ""
    return "the kernel ended it for want of memory (memory.events of its cgroup)"
