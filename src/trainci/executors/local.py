"""Runs tests on this host, each under a lease: one lease process (see ``launcher``) per attempt does the holding.

That process takes the devices, starts the test, enforces its time limit and ends its whole process tree. It does
so when the runner is killed, too: the descriptor that it reports on then closes, which is its order to stop.
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from trainci.executors import results
from trainci.executors.base import Emit, Job, Show
from trainci.executors.launcher import Launched, Launcher
from trainci.executors.watcher import Watcher, open_log
from trainci.host import devices
from trainci.host.clock import steady_time
from trainci.interpreter import search_path
from trainci.lease import protocol
from trainci.lease.store.directory import open_directory
from trainci.model import events
from trainci.model.device import Pool
from trainci.model.run import Cause, Ending, Phase
from trainci.model.tests import Test
from trainci.paths import RunPaths

GRACE_SECONDS = 5.0


class LocalExecutor:
    """Starts the command of each test from the repository's root. ``options`` are those of Executor.

    ``secrets`` are masked in whatever a test prints.
    """

    def __init__(
        self,
        root: Path,
        pool: Pool,
        options: tuple[str, ...] = (),
        secrets: Sequence[str] = (),
        clock: Callable[[], float] = steady_time,
    ) -> None:
        self._root = root
        self._clock = clock
        self.pool = pool
        self.cpu_slots = len(os.sched_getaffinity(0))
        self.options = options
        self._secrets = secrets
        self._launcher: Launcher | None = None
        self._launched: dict[tuple[str, int], Launched] = {}

    def open(self) -> None:
        """See Executor.

        :raises UsageError: the lock directory is none that a test could be leased devices in.
        """
        open_directory(None, may_be_private=self.pool.virtual)
        self._launcher = self._launcher or Launcher()

    def close(self) -> None:
        """See Executor."""
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None

    def command(self, test: Test) -> str:
        """See Executor."""
        return _shell_line(test.env, test.command) if test.command else _shell_lines(test)

    def start(self, job: Job, emit: Emit, show: Show) -> None:
        """See Executor."""
        try:
            log = open_log(job.log)
            launched, output, status = self._launch(job)
        except OSError as error:
            ending = Ending(Cause.NEVER_STARTED, detail=f"it could not be started: {error.strerror}")
            emit(events.Ended(self._clock(), job.test.id, job.attempt, job.phase, ending))
            return
        self._launched[job.test.id, job.attempt] = launched
        watcher = Watcher(job, launched, output, status, log, self._secrets, emit, show, self._clock)
        threading.Thread(target=watcher.run, name=job.test.id, daemon=True).start()

    def stop(self, job: Job) -> None:
        """See Executor."""
        if launched := self._launched.get((job.test.id, job.attempt)):
            launched.terminate()

    def _launch(self, job: Job) -> tuple[Launched, int, int]:
        """The lease process of ``job``, and the descriptors of its output and its reports."""
        variables = {
            **dict(job.test.env),
            **results.variables(job),
            "PYTHONUNBUFFERED": "1",
            "TRAINCI_TEST_ID": job.test.id,
            "TRAINCI_PHASE": "" if job.phase is Phase.BOTH else job.phase.value,
            "TRAINCI_METRICS_FILE": str(RunPaths.metrics(job.log)),
        }
        variables["PATH"] = search_path(
            job.test.python, self._root, variables.get("PATH") or os.environ.get("PATH", os.defpath)
        )
        self._launcher = self._launcher or Launcher()
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
            *(f"{protocol.NAME}={job.test.id}", "--", *results.command(job)),
        ]


def local_executor(root: Path, spec: str, secrets: Sequence[str]) -> LocalExecutor:
    """The executor of this host's devices, or of those that ``spec`` (``trainci run --devices``) names.

    ``secrets`` are masked in whatever a test prints.

    :raises UsageError: ``spec`` makes no sense, or names a device that is not there.
    """
    return LocalExecutor(root, _within_lease(devices.pool(spec)), ("--devices", spec), secrets)


def _within_lease(pool: Pool) -> Pool:
    """As many of the virtual devices as an outer lease holds, if we run inside one; GPUs it has hidden already."""
    outer = protocol.outer_lease(os.environ)
    if outer is None or not pool.virtual:
        return pool
    return Pool(pool.devices[: len(outer[1])], virtual=True)


def _shell_lines(test: Test) -> str:
    """Its steps, one after another."""
    return " && ".join(_shell_line((*test.env, *step.env), step.command) for step in test.steps)


def _shell_line(env: Sequence[tuple[str, str]], words: Sequence[str]) -> str:
    return " ".join([*(f"{name}={_shell_word(value)}" for name, value in env), *map(_shell_word, words)])


def _shell_word(text: str) -> str:
    """``text`` quoted for a shell, on one line whatever it holds (``$'…'`` is POSIX.1-2024, and older in bash)."""
    if text.isprintable():
        return shlex.quote(text)
    plain = [
        chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}" for byte in os.fsencode(text)
    ]
    return f"$'{''.join(plain)}'"
