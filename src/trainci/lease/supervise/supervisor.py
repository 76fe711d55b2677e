"""The supervisor: parent of the command. It enforces the time limit and ends all that the command started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from trainci.errors import MachineError
from trainci.host import cgroup
from trainci.host.processes import SignalPipe, become_subreaper, ended_by_seccomp, own_memory, poll_timeout, reap
from trainci.lease.protocol import Ended, Report, Started, dump
from trainci.lease.queue.hold import Lease
from trainci.lease.store.directory import Directory
from trainci.lease.store.records import FOREVER, Request, load_record
from trainci.model.seen import Seen

# What ends a job. SIGCHLD is listened to as well.
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EXIT_CANNOT_RUN = 126
EXIT_NOT_FOUND = 127
# For a command that ends within this time nothing is done that is to be of use later: it would wait for that.
BRIEF_S = 0.05
# The kernel passes no more in one message (SCM_MAX_FD, unix(7)).
_MOST_DESCRIPTORS = 253
# A wrapper that has not released the lease this long after the job's end is stopped, or worse.
_WRAPPER_LATE_S = 1.0


@dataclass(frozen=True)
class Job:
    """What a supervisor is to do once there is a lease.

    ``variables`` makes the command's environment; ``time_limit`` and ``grace`` are seconds.
    """

    directory: Directory
    request: Request
    command: list[str]
    variables: Callable[[Lease], dict[str, str]]
    time_limit: float | None
    grace: float


def grant(orders: socket.socket, lease: Lease) -> None:
    """Pass a lease on to the supervisor that listens: what it has to know, every lock, every claim (SCM_RIGHTS).

    :raises OSError: the supervisor is gone.
    """
    socket.send_fds(orders, [f"{lease.port_base}\n{lease.record.dump()}".encode()], [lease.guard, *lease.locks])
    socket.send_fds(orders, [b"claims"], lease.claims)


def _granted(orders: socket.socket, job: Job) -> Lease | None:
    """Wait for the lease; None when there will be none."""
    text, passed = _receive(orders)
    port_base, _, rest = text.decode().partition("\n")
    record = load_record(rest)
    claims = _receive(orders)[1]
    if record is None or len(claims) < len(record.devices) or not passed:
        return None
    guard, *locks = passed
    devices = tuple(device for device in job.request.devices if device.uuid in record.devices)
    lease = Lease(job.directory, record, devices, locks, claims, guard)
    lease.port_base = int(port_base)
    return lease


def _receive(orders: socket.socket) -> tuple[bytes, list[int]]:
    text, passed, flags, _ = socket.recv_fds(orders, 1 << 16, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    return (b"", []) if flags & socket.MSG_CTRUNC else (text, passed)


def ending(status: int, time_limit: bool = False, lost: str = "") -> Ended:
    """How a command ended that left this wait status (wait(2))."""
    if os.WIFSIGNALED(status):
        return Ended(signal=os.WTERMSIG(status), time_limit=time_limit, lost=lost)
    return Ended(os.WEXITSTATUS(status), time_limit=time_limit, lost=lost)


class Supervisor:
    """Lives in a child of the wrapper; ``watch`` does not return.

    The lease, then perhaps an order to end, or the end of all orders, comes by ``orders``; what happens is told by
    the pipe ``reports``, as an executor is told, each line behind ``seal``. An end that is ``lost`` says that a
    process of the job cannot be killed: then the supervisor stays until it is gone.
    """

    def __init__(self, job: Job, orders: socket.socket, reports: int, seal: bytes) -> None:
        self._job = job
        self._orders = orders
        self._reports = reports
        self._seal = seal
        self._command = 0
        self._status: int | None = None
        self._by_seccomp: bool | None = None
        self._group = ""

    def watch(self, mask: set[int], lease: Lease | None) -> None:
        """Wait for the lease, if it is not there yet; run the command; see that the lease is released; exit."""
        wrapper_group = os.getpgrp()
        at_terminal = os.isatty(0)
        if at_terminal:
            # The command stays in the wrapper's group, to which the terminal belongs; we leave it, so that what is
            # sent to that group does not take both of us.
            os.setpgid(0, 0)
        else:
            os.setsid()
        become_subreaper()
        pipe = SignalPipe((signal.SIGCHLD, *ENDING_SIGNALS))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if lease is None:
            own_memory()
            lease = _granted(self._orders, self._job)
        if lease is None:
            os._exit(0)
        for descriptor in (*lease.locks, *lease.claims):
            os.set_inheritable(descriptor, True)
        command = self._job.command
        try:
            self._command = os.posix_spawnp(
                command[0],
                command,
                self._job.variables(lease),
                setpgroup=wrapper_group if at_terminal else 0,
                setsigmask=mask,
                setsigdef=_restored(),
            )
        except OSError as error:
            code = EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_CANNOT_RUN
            lease.give_claims_away()
            self._tell(Ended(code, complaint=f"{command[0]!a}: {error.strerror}"))
        else:
            self._tell(Started(self._command))
            _leave_streams()
            self._supervise(pipe, lease)
        self._see_it_released(lease)
        cgroup.remove(self._group)
        os._exit(0)

    def _supervise(self, pipe: SignalPipe, lease: Lease) -> None:
        group = lease.record.cgroup
        begun = time.monotonic()
        kills_before = cgroup.oom_kills()
        limit = FOREVER if self._job.time_limit is None else self._job.time_limit
        limited = not self._wait(pipe, begun + min(limit, BRIEF_S))
        if limited and limit > BRIEF_S:
            own_memory()
            if cgroup.make(group):
                self._group = group
                cgroup.adopt(group, os.getpid())
            limited = not self._wait(pipe, begun + limit)
        left = cgroup.end_job(self._group, self._job.grace, self._note)
        lost = ""
        if left:
            lost = f"process {left[0].pid} cannot be killed (it waits inside the kernel); its devices stay taken"
        else:
            # Before the wrapper hears of it, and hands the devices on.
            lease.give_claims_away()
        kills = None if kills_before is None else cgroup.oom_kills()
        killed = None if kills is None or kills_before is None else kills > kills_before
        seen = Seen(kernel_oom=killed, seccomp=self._by_seccomp)
        self._tell(replace(ending(self._status or 0, limited, lost), seen=seen))
        while left and reap(self._note):
            pipe.wait()
        while not cgroup.end(self._group):
            continue

    def _wait(self, pipe: SignalPipe, deadline: float) -> bool:
        """Until the command has exited or is ordered to end; False when it is the deadline that comes first."""
        poller = select.poll()
        poller.register(pipe.fd, select.POLLIN)
        poller.register(self._orders.fileno(), select.POLLIN)
        while True:
            if self._by_seccomp is None:
                self._by_seccomp = ended_by_seccomp(self._command)
            reap(self._note)
            if self._status is not None:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            ready = {descriptor for descriptor, _ in poller.poll(None if left == FOREVER else poll_timeout(left))}
            # An order, or the end of all orders: the wrapper is gone.
            if self._orders.fileno() in ready or pipe.take() & set(ENDING_SIGNALS):
                return True

    def _note(self, pid: int, status: int) -> None:
        if pid == self._command:
            self._status = status

    def _tell(self, report: Report) -> None:
        try:
            os.write(self._reports, self._seal + dump(report))
        except BrokenPipeError:
            return

    def _see_it_released(self, lease: Lease) -> None:
        """The wrapper releases the lease and exits; where it was killed, or is stopped, we do so."""
        poller = select.poll()
        poller.register(self._orders, 0)
        poller.poll(int(_WRAPPER_LATE_S * 1000))
        if not lease.is_released():
            with contextlib.suppress(OSError, MachineError):
                lease.hand_over()


def _restored() -> list[int]:
    """Signals that Python or we treat in our own way, and that a command expects as it would find them."""
    ours = [number for number in ENDING_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    return [*ours, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD]


def _leave_streams() -> None:
    """Leave the streams: the reader of the command's output must see its end when the command ends."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
