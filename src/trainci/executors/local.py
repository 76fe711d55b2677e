"""Runs tests on this host, each under a lease: one lease process (see ``launcher``) per attempt does the holding.

That process takes the devices, starts the test, enforces its time limit and ends its whole process tree. It does
so when the runner is killed, too: the descriptor that it reports on then closes, which is its order to stop.
"""

from __future__ import annotations

import io
import os
import selectors
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path

from trainci.executors.base import Emit, Job, Show
from trainci.executors.launcher import Launched, Launcher
from trainci.host import devices
from trainci.lease import protocol
from trainci.model import Cause, Ending, Phase, Pool, Test, events
from trainci.paths import RunPaths

GRACE_SECONDS = 5.0
# How long output may still trickle in after the lease process has gone, before the log is closed regardless.
_DRAIN_SECONDS = 2.0
_CHUNK = 65536


class LocalExecutor:
    """Starts the command of each test from the repository's root. ``options`` are those of Executor."""

    def __init__(
        self, root: Path, pool: Pool, options: tuple[str, ...] = (), clock: Callable[[], float] = time.time
    ) -> None:
        self._root = root
        self._clock = clock
        self.pool = pool
        self.cpu_slots = len(os.sched_getaffinity(0))
        self.options = options
        self._launcher: Launcher | None = None
        self._launched: dict[tuple[str, int], Launched] = {}

    def open(self) -> None:
        """See Executor."""
        self._launcher = self._launcher or Launcher()

    def close(self) -> None:
        """See Executor."""
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None

    def command(self, test: Test) -> str:
        """See Executor."""
        variables = [f"{name}={_shell_word(value)}" for name, value in test.env]
        return " ".join([*variables, *map(_shell_word, test.command)])

    def start(self, job: Job, emit: Emit, show: Show) -> None:
        """See Executor."""
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer, which would hold on to what a full disk refused.
            log = job.log.open("ab", buffering=0)
            launched, output, status = self._launch(job)
        except OSError as error:
            ending = Ending(Cause.NEVER_STARTED, detail=f"it could not be started: {error.strerror}")
            emit(events.Ended(self._clock(), job.test.id, job.attempt, job.phase, ending))
            return
        self._launched[job.test.id, job.attempt] = launched
        watcher = _Watcher(job, launched, output, status, log, emit, show, self._clock)
        threading.Thread(target=watcher.run, name=job.test.id, daemon=True).start()

    def stop(self, job: Job) -> None:
        """See Executor."""
        if launched := self._launched.get((job.test.id, job.attempt)):
            launched.terminate()

    def _launch(self, job: Job) -> tuple[Launched, int, int]:
        """The lease process of ``job``, and the descriptors of its output and its reports."""
        variables = {
            **dict(job.test.env),
            "PYTHONUNBUFFERED": "1",
            "TRAINCI_TEST_ID": job.test.id,
            "TRAINCI_PHASE": "" if job.phase is Phase.BOTH else job.phase.value,
            "TRAINCI_METRICS_FILE": str(RunPaths.metrics(job.log)),
        }
        self.open()
        assert self._launcher is not None
        output, its_output = os.pipe()
        status, its_status = os.pipe()
        try:
            launched = self._launcher.start(
                self._lease_arguments(job), self._root, variables, its_output, its_status
            )
        except OSError:
            os.close(output)
            os.close(status)
            raise
        finally:
            os.close(its_output)
            os.close(its_status)
        return launched, output, status

    def _lease_arguments(self, job: Job) -> list[str]:
        where = (
            [protocol.VIRTUAL, str(len(self.pool.devices))]
            if self.pool.virtual
            else [protocol.DEVICES_ALLOWED, ",".join(device.uuid for device in self.pool.devices)]
        )
        return [
            *(protocol.COUNT, str(job.num_gpus), *(where if job.num_gpus else [])),
            *(protocol.TIME_LIMIT, f"{job.time_limit:g}", protocol.GRACE, f"{GRACE_SECONDS:g}"),
            *(f"{protocol.NAME}={job.test.id}", "--", *job.test.command),
        ]


def local_executor(root: Path, spec: str) -> LocalExecutor:
    """The executor of this host's devices, or of those that ``spec`` (``trainci run --devices``) names.

    :raises UsageError: ``spec`` makes no sense, or names a device that is not there.
    """
    return LocalExecutor(root, _within_lease(devices.pool(spec)), ("--devices", spec))


def _within_lease(pool: Pool) -> Pool:
    """As many of the virtual devices as an outer lease holds, if we run inside one; GPUs it has hidden already."""
    outer = protocol.outer_lease(os.environ)
    if outer is None or not pool.virtual:
        return pool
    return Pool(pool.devices[: len(outer[1])], virtual=True)


def _shell_word(text: str) -> str:
    """``text`` quoted for a shell, on one line whatever it holds (``$'…'`` is POSIX.1-2024, and older in bash)."""
    if text.isprintable():
        return shlex.quote(text)
    plain = [
        chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}" for byte in os.fsencode(text)
    ]
    return f"$'{''.join(plain)}'"


class _Watcher:
    """Follows one lease process: its output into the log and to ``show``, its reports into events."""

    def __init__(
        self,
        job: Job,
        launched: Launched,
        output: int,
        status: int,
        log: io.FileIO,
        emit: Emit,
        show: Show,
        clock: Callable[[], float],
    ) -> None:
        self._of_job = (job.test.id, job.attempt, job.phase)
        self._launched = launched
        self._output = output
        self._status = status
        self._log = log
        self._emit = emit
        self._show = show
        self._clock = clock
        self._pending = b""
        self._tail = b""
        self._ending: Ending | None = None
        self._fault = ""

    def run(self) -> None:
        try:
            self._follow()
        finally:
            code = self._launched.wait()
            os.close(self._status)
            os.close(self._output)
            self._log.close()
            self._emit(events.Ended(self._clock(), *self._of_job, self._ended(code)))

    def _follow(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ, self._on_output)
            selector.register(self._status, selectors.EVENT_READ, self._on_status)
            # The status descriptor closes with the lease process; output may be held open a moment longer.
            while selector.get_map():
                gone = self._status not in selector.get_map()
                ready = selector.select(_DRAIN_SECONDS if gone else None)
                if gone and not ready:
                    return
                for key, _ in ready:
                    data = os.read(key.fd, _CHUNK)
                    if data:
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)

    def _on_output(self, data: bytes) -> None:
        if not self._fault:
            self._write_log(data)
        self._tail = (self._tail + data)[-4096:]
        self._show(events.Output(self._clock(), *self._of_job, data.decode("utf-8", "replace")))

    def _write_log(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._log.write(rest) :]
        except OSError as error:
            self._lose(f"its log cannot be written: {error.strerror}")

    def _on_status(self, data: bytes) -> None:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            try:
                self._on_report(protocol.load(line))
            except ValueError:
                self._lose(f"its lease said what is no report: {line!r}")

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
                self._ending = _ending(report)

    def _lose(self, fault: str) -> None:
        self._fault = fault
        self._launched.terminate()

    def _ended(self, code: int | None) -> Ending:
        if self._fault:
            return Ending(Cause.LOST, detail=self._fault)
        if self._ending is None:
            last = self._tail.decode("utf-8", "replace").strip().splitlines()
            said = f": {last[-1]}" if last else ""
            how = "" if code is None else f" with {code}"
            fault = f"the process that held the lease ended{how} and no report{said}"
            return Ending(Cause.LOST, detail=fault)
        return self._ending


def _ending(report: protocol.Ended) -> Ending:
    if report.time_limit:
        cause = Cause.TIMED_OUT
    elif report.lost:
        cause = Cause.LOST
    else:
        cause = Cause.SIGNALLED if report.signal else Cause.EXITED
    return Ending(cause, report.code, report.signal, report.lost)
