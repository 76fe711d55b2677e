"""What the executors of engines (Slurm, Ray) share: jobs that run elsewhere, known by files beside the log.

The job runs trainci's own lease on its node, as a test of this host does: it keeps to what the engine gave,
enforces the time limit and ends the whole tree. What it prints and reports goes into files beside the log, on the
file system that the nodes share with this host; nothing else joins the two, so that a job outlives whoever
submitted it.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from trainci.errors import UsageError
from trainci.executors import words
from trainci.executors.account import Account, open_log
from trainci.executors.attempt import Attempt
from trainci.executors.base import Emit, Job, Show, Wanted
from trainci.executors.job_files import SUFFIX
from trainci.host import devices
from trainci.host.clock import steady_time
from trainci.lease import protocol
from trainci.model import events
from trainci.model.device import Device, Pool
from trainci.model.run import Cause, Ending
from trainci.model.tests import Test

_MANY = sys.maxsize
# How long a file system may take to show what a node wrote: NFS keeps for so long that a file is not there (nfs(5),
# acdirmax).
LATE_S = 60.0
# A job that answers do not name for so long is gone: what lists jobs may be a while behind.
GONE_S = 10.0


def nodes_pool(wanted: Wanted, engine: str) -> Pool:
    """The devices of a node: ``wanted.max_gpus`` GPUs, or so many virtual ones, and any number of nodes.

    :raises UsageError: ``wanted.devices`` names devices, which are the engine's to choose.
    """
    if wanted.devices == "auto":
        there = tuple(Device(index, f"gpu-{index}", "GPU of a node") for index in range(wanted.max_gpus))
    elif wanted.devices.startswith("cpu:"):
        there = devices.pool(wanted.devices).devices
    else:
        raise UsageError(f"--devices {wanted.devices}: {engine} chooses the devices. Leave it out, or name cpu:N.")
    return Pool(there, virtual=wanted.devices != "auto", nodes=_MANY, engine=engine)


def _for_image(container: Sequence[str], test: Test) -> list[str]:
    return [word.replace("{image}", test.image) for word in container]


class EngineExecutor(ABC):
    """See Executor. ``name`` is what ``--executor`` calls it; ``container`` stands before a test's command."""

    outlives = True

    def __init__(
        self,
        name: str,
        wanted: Wanted,
        pool: Pool,
        container: Sequence[str] = (),
        clock: Callable[[], float] = steady_time,
    ) -> None:
        self._root = wanted.root
        self._secrets = wanted.secrets
        self._container = container
        self._clock = clock
        self.pool = pool
        self.options = ("--executor", name, "--devices", wanted.devices)
        self.cpu_slots = _MANY
        self.device_slots = _MANY
        self._attempts: list[Attempt] = []
        self._ended: list[Attempt] = []
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._closing = False
        self._threads: list[threading.Thread] = []

    @abstractmethod
    def _loops(self) -> Sequence[Callable[[], None]]:
        """What submits the attempts under way and follows them, each in a thread of its own until we close."""

    @abstractmethod
    def submission(self, test: Test) -> str:
        """See Executor."""

    @abstractmethod
    def open(self) -> None:
        """See Executor."""

    def close(self) -> None:
        """See Executor."""
        self._closing = True
        self._changed.set()
        for thread in self._threads:
            thread.join()
        # Not before what they tell is in the events of the run.
        for run in {attempt.directory.parent for attempt in self._ended}:
            for left in run.glob(f"*{SUFFIX}"):
                shutil.rmtree(left, ignore_errors=True)

    def command(self, test: Test) -> str:
        """See Executor."""
        return words.shell_line(test, _for_image(self._container, test))

    def start(self, job: Job, emit: Emit, show: Show) -> None:
        """See Executor."""
        attempt = Attempt(job, show)
        try:
            self._equip(attempt, emit, self._container)
        except OSError as error:
            ending = Ending(Cause.NEVER_STARTED, detail=f"it could not be started: {error.strerror}")
            emit(events.Ended(self._clock(), job.test.id, job.attempt, job.phase, ending))
            return
        with self._lock:
            self._attempts.append(attempt)
        self._changed.set()
        if not self._threads:
            self._threads = [threading.Thread(target=loop, daemon=True) for loop in self._loops()]
            for thread in self._threads:
                thread.start()

    def known_since(self) -> Mapping[str, float]:
        """See Executor."""
        return {}

    def suspect(self, devices: Sequence[str], reason: str, *, broken: bool) -> None:
        """See Executor: which host they are of, only its own lease directory could say."""
        return

    def stop(self, job: Job) -> None:
        """See Executor."""
        for attempt in self._under_way():
            if attempt.job == job:
                attempt.stopped = True
        self._changed.set()

    def _equip(self, attempt: Attempt, emit: Emit, container: Sequence[str]) -> None:
        """Give it its log, its account, and what its node is to read, unless an earlier runner has.

        :raises OSError: its files cannot be written.
        """
        job = attempt.job
        log = open_log(job.log)
        end = partial(self.stop, job)
        attempt.account = Account(job, log, self._secrets, emit, attempt.show, self._clock, end, root=self._root)
        if not attempt.recall(log):
            attempt.prepare(self._arguments(job, container), self._root, log, probed=not container)

    def _under_way(self) -> list[Attempt]:
        with self._lock:
            return list(self._attempts)

    def _arguments(self, job: Job, container: Sequence[str]) -> list[str]:
        virtual = [protocol.VIRTUAL, str(len(self.pool.devices))] if self.pool.virtual and job.num_gpus else []
        arguments = words.lease_arguments(job, _for_image(container, job.test))
        return [protocol.COUNT, str(job.num_gpus), *virtual, *arguments]

    def _sample(self, test: Test) -> Job:
        """A job that is only shown."""
        return Job(test, 1, self._root / ".trainci/runs/RUN/TEST-1.log")

    def _miss(self, attempt: Attempt, patience: float = GONE_S) -> None:
        """The engine answered, and did not name its job: for ``patience`` seconds it may."""
        now = time.monotonic()
        attempt.missed_since = attempt.missed_since or now
        if attempt.reported or now - attempt.missed_since > patience:
            lost = Ending(Cause.LOST, detail=f"{self.pool.engine} knows no job {attempt.job_id} any more")
            self._end(attempt, attempt.reported or lost)

    def _end(self, attempt: Attempt, ending: Ending) -> None:
        with self._lock:
            if attempt not in self._attempts:
                return
            self._attempts.remove(attempt)
            self._ended.append(attempt)
        # An engine that was killed may begin a job that it has ended.
        attempt.withdraw()
        attempt.over = ending
        # A log of any length is judged by whoever is told.
        threading.Thread(target=attempt.finish, name=attempt.job.test.id).start()
