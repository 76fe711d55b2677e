"""Runs tests on this host, each under a lease: one lease process (see ``launcher``) per attempt does the holding.

That process takes the devices, starts the test, enforces its time limit and ends its whole process tree. It does
so when the runner is killed, too: the descriptor that it reports on then closes, which is its order to stop.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trainci import probe
from trainci.errors import TrainciError, UsageError
from trainci.executors import ends, words
from trainci.executors.account import Account, open_log
from trainci.executors.base import Emit, Job, Show, Wanted
from trainci.executors.launcher import Launched, Launcher
from trainci.executors.onlooker import Onlooker
from trainci.executors.watcher import Watcher
from trainci.host import devices
from trainci.host.clock import steady_time
from trainci.host.virtual import virtual_devices
from trainci.lease import protocol
from trainci.lease.store import ledger, marks
from trainci.lease.store.directory import open_directory
from trainci.model import events
from trainci.model.device import MOST_DEVICES, Pool
from trainci.model.run import Cause, Ending
from trainci.model.tests import Test
from trainci.paths import RunPaths


class LocalExecutor:
    """Starts the command of each test from the repository's root. ``options`` are those of Executor.

    ``secrets`` are masked in whatever a test prints.
    """

    outlives = False

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
        self.device_slots = len(pool.devices)
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
        return words.shell_line(test)

    def submission(self, test: Test) -> str:
        """See Executor."""
        return ""

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
        end = launched.terminate
        onlooker = Onlooker(job, end)
        account = Account(job, log, self._secrets, emit, show, self._clock, end, onlooker, self._root)
        watcher = Watcher(launched, output, status, account, show)
        thread = threading.Thread(target=watcher.run, name=job.test.id, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # The host gives no more threads.
            end()
            watcher.close(Ending(Cause.NEVER_STARTED, detail=f"it could not be started: {error}"))

    def known_since(self) -> Mapping[str, float]:
        """See Executor."""
        with contextlib.suppress(OSError, TrainciError):
            return marks.known_since(open_directory(None, may_be_private=self.pool.virtual))
        return {}

    def suspect(self, devices: Sequence[str], reason: str, *, broken: bool) -> None:
        """See Executor."""
        # What cannot be noted must not keep a run from going on.
        with contextlib.suppress(OSError, TrainciError):
            directory = open_directory(None, may_be_private=self.pool.virtual)
            for uuid in devices:
                ledger.note(directory, ledger.Entry(self._clock(), "trainci", "suspect", uuid, reason))
                if broken:
                    marks.quarantine(directory, uuid, reason, self._clock())

    def stop(self, job: Job) -> None:
        """See Executor."""
        if launched := self._launched.get((job.test.id, job.attempt)):
            launched.terminate()

    def _launch(self, job: Job) -> tuple[Launched, int, int]:
        """The lease process of ``job``, and the descriptors of its output and its reports."""
        self._launcher = self._launcher or Launcher()
        output, its_output = os.pipe()
        status, its_status = os.pipe()
        try:
            launched = self._launcher.start(
                self._lease_arguments(job), self._root, self._variables(job), its_output, its_status
            )
        except OSError:
            os.close(output)
            os.close(status)
            raise
        finally:
            os.close(its_output)
            os.close(its_status)
        return launched, output, status

    def _variables(self, job: Job) -> dict[str, str]:
        """What ``job`` is told. Its processes answer where they are in a folder of its own.

        :raises OSError: something is in the place of that folder.
        """
        told = words.variables(job, self._root)
        folder = RunPaths.probe(job.log)
        folder.mkdir(mode=0o700)
        path = told.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        return {**told, **probe.variables(folder, path), **ends.variables(job, path)}

    def _lease_arguments(self, job: Job) -> list[str]:
        others = [device for device in self.pool.devices if device.uuid not in job.avoid]
        allowed = others if len(others) >= job.num_gpus * job.num_nodes else self.pool.devices
        where = [protocol.VIRTUAL, str(len(self.pool.devices))] if self.pool.virtual else []
        if not self.pool.virtual or len(allowed) < len(self.pool.devices):
            where += [protocol.DEVICES_ALLOWED, ",".join(device.uuid for device in allowed)]
        return [
            *(protocol.COUNT, str(job.num_gpus * job.num_nodes), *(where if job.num_gpus else [])),
            *words.lease_arguments(job),
        ]


def local_executor(wanted: Wanted) -> LocalExecutor:
    """The executor of this host's devices, or of those that ``wanted.devices`` names.

    :raises UsageError: it makes no sense, or names a device that is not there.
    """
    pool = _within_lease(devices.pool(wanted.devices))
    options: tuple[str, ...] = ("--devices", wanted.devices)
    if wanted.nodes > 1:
        pool = _virtual_nodes(pool, wanted.nodes)
        options += ("--nodes", str(wanted.nodes))
    return LocalExecutor(wanted.root, pool, options, wanted.secrets)


def _virtual_nodes(pool: Pool, nodes: int) -> Pool:
    """``nodes`` virtual nodes, each with as many devices as ``pool`` has."""
    if not pool.virtual:
        raise UsageError(f"--nodes {nodes}: this is one host. With --devices cpu:N it has virtual nodes.")
    count = len(pool.devices) * nodes
    if count > MOST_DEVICES:
        raise UsageError(
            f"--nodes {nodes}: that is {count} virtual devices, and a host has {MOST_DEVICES} at most."
        )
    return Pool(virtual_devices(count), virtual=True, nodes=nodes)


def _within_lease(pool: Pool) -> Pool:
    """As many of the virtual devices as an outer lease holds, if we run inside one; GPUs it has hidden already."""
    outer = protocol.outer_lease(os.environ)
    if outer is None or not pool.virtual:
        return pool
    return Pool(pool.devices[: len(outer[1])], virtual=True)
