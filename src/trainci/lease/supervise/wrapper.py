"""Runs a command under a lease, and sees that nothing of it is left before the devices are handed on.

Two processes watch over the job, and either can end it when the other is killed:

    wrapper W     what the user started; passes signals on, exits with the command's code, releases the lease
    supervisor S  child of W, parent of the command; enforces the time limit, ends the tree (``supervisor``)

Whoever has to wait for the lease makes S meanwhile: its start would be part of the hand-over of the devices.

Both are subreapers: whatever a job daemonises becomes a child of S, or of W once S is gone. So the kernel itself
says when nothing is left: ``waitpid`` finds no child.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace

from trainci.errors import EXIT_MACHINE, MachineError
from trainci.host import cgroup
from trainci.host.clock import drift
from trainci.host.files import is_full
from trainci.host.processes import (
    SignalPipe,
    become_subreaper,
    hold_signals,
    own_memory,
    poll_timeout,
    reap,
    send,
)
from trainci.lease.protocol import Ended, Started, load
from trainci.lease.queue.hold import Lease
from trainci.lease.queue.tickets import Ticket
from trainci.lease.supervise.supervisor import BRIEF_S, ENDING_SIGNALS, Job, Supervisor, ending, grant
from trainci.model.seen import Seen

EXIT_TIME_LIMIT = 124
# A supervisor that has not ended the job this long after the grace period is stopped, or worse.
_SUPERVISOR_LATE_S = 3.0
# Corrections of a clock that is kept are far smaller; a watchdog's patience is far longer.
_CLOCK_JUMPS_S = 10.0


def exit_code(ended: Ended, stopped_by: int) -> int:
    """The wrapper's exit code, where it was sent the signal ``stopped_by`` (0: none).

    A command that was cut short is never a success, whatever it exits with.
    """
    if stopped_by:
        return 128 + stopped_by
    if ended.lost:
        return EXIT_MACHINE
    code = 128 + ended.signal if ended.signal else ended.code or 0
    return code or (EXIT_TIME_LIMIT if ended.time_limit else 0)


def _seen(lease: Lease, by_supervisor: Seen, drift_before: tuple[float, float]) -> Seen:
    """What was seen while a job ran that failed; what was not looked at stays unknown."""
    jumped = any(abs(now - before) > _CLOCK_JUMPS_S for now, before in zip(drift(), drift_before, strict=True))
    # Only what is full is told: of a disk that has room now, it is not known whether it had before.
    # Not tempfile.gettempdir(), which passes over the one that is full, and raises where all are.
    full = any(is_full(path) for path in (os.curdir, os.environ.get("TMPDIR") or "/tmp"))
    return replace(
        lease.seen(),
        kernel_oom=by_supervisor.kernel_oom,
        seccomp=by_supervisor.seccomp,
        clock_jumped=jumped,
        disk_full=full or None,
        shm_full=is_full("/dev/shm") or None,
    )


class Wrapper:
    """Runs one command, to its end and the end of all that it started, once there is a lease for it.

    ``pipe`` listens to SIGCHLD and ENDING_SIGNALS; when the reader of ``status_fd`` (-1: none) goes away, the
    command is ended.
    """

    def __init__(self, job: Job, pipe: SignalPipe, status_fd: int) -> None:
        self._job = job
        self._pipe = pipe
        self._status_fd = status_fd
        self._supervisor = 0
        self._text = b""
        # Begins what the supervisor reports: a job of the same user can write into that pipe by /proc.
        self._seal = os.urandom(8).hex().encode()
        self._command = 0
        self._ended: Ended | None = None
        self._stopped_by = 0
        self._is_quick = False
        # Is the supervisor to stay, because a process of the job does?
        self._stuck = False

    def prepare(self, ticket: Ticket) -> bool:
        """Do what can be done before there is a lease; was there a fork? ``ticket`` is that of the request."""
        if self._has_supervisor():
            return False
        self._fork(None, ticket)
        return True

    def _has_supervisor(self) -> bool:
        """It may have been killed while we waited."""
        return self._supervisor > 0 and os.waitpid(self._supervisor, os.WNOHANG) == (0, 0)

    def _fork(self, lease: Lease | None, ticket: Ticket | None = None) -> None:
        become_subreaper()
        self._orders, orders = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._reports, reports = os.pipe2(os.O_CLOEXEC)
        before = hold_signals()
        self._supervisor = os.fork()
        if self._supervisor == 0:
            try:
                if ticket is not None:
                    ticket.close()
                self._orders.close()
                for descriptor in (self._reports, self._status_fd):
                    if descriptor >= 0:
                        os.close(descriptor)
                Supervisor(self._job, orders, reports, self._seal).watch(before, lease)
            finally:
                os._exit(EXIT_MACHINE)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        orders.close()
        os.close(reports)

    def dismiss(self) -> None:
        """There will be no lease."""
        if self._supervisor:
            send(self._supervisor, signal.SIGKILL)

    def run(self, lease: Lease, started: Callable[[int], None]) -> tuple[Ended, int]:
        """Run the command, then release the lease: how it ended, and the exit code for that.

        ``started`` is called with the command's process id.
        """
        limit = self._job.time_limit
        deadline = None if limit is None else time.monotonic() + limit
        if self._has_supervisor():
            self._grant(lease)
        else:
            self._fork(lease)
        lease.give_claims_away()
        lease.listen()
        drift_before = drift()
        ended = self._follow(lease.record.cgroup, deadline, started)
        ended = replace(ended, ordered=bool(self._stopped_by))
        if (ended.code, ended.time_limit) != (0, False) and not self._stuck:
            ended = replace(ended, seen=_seen(lease, ended.seen, drift_before))
        if self._stuck:
            # The supervisor stays, and keeps the devices until the kernel can end that process.
            lease.detach()
        else:
            try:
                lease.hand_over()
            except (OSError, MachineError) as error:
                # What the command said stands.
                said = f"its devices are free, but the queue could not be told: {error}"
                ended = replace(ended, complaint=ended.complaint or said.rstrip("."))
        return ended, exit_code(ended, self._stopped_by)

    def _grant(self, lease: Lease) -> None:
        try:
            grant(self._orders, lease)
        except (BrokenPipeError, ConnectionResetError):
            # It was killed just now; its reports end, too.
            return
        send(self._supervisor, signal.SIGCONT)

    def _follow(self, group: str, deadline: float | None, started: Callable[[int], None]) -> Ended:
        """Until the supervisor has reported the end, or has died."""
        # A supervisor that does not do its work (it may be stopped) is replaced by ourselves.
        overdue = None if deadline is None else deadline + self._job.grace + _SUPERVISOR_LATE_S
        poller = select.poll()
        poller.register(self._reports, select.POLLIN)
        poller.register(self._pipe.fd, select.POLLIN)
        if self._status_fd >= 0:
            poller.register(self._status_fd, 0)
        while self._ended is None:
            patience = None if overdue is None else poll_timeout(overdue - time.monotonic())
            ready = self._ready(poller, patience)
            if self._reports in ready and not self._read(started):
                return self._take_over(group)
            if self._status_fd in ready and self._status_fd >= 0:
                poller.unregister(self._status_fd)
                overdue = self._order_end()
            number = next(iter(self._pipe.take() & set(ENDING_SIGNALS)), 0)
            if number:
                self._stopped_by = self._stopped_by or number
                overdue = self._order_end()
            if overdue is not None and time.monotonic() >= overdue:
                send(self._supervisor, signal.SIGKILL)
        return self._ended

    def _ready(self, poller: select.poll, patience: float | None) -> set[int]:
        """The descriptors that are ready. The first quiet moment is used to be quick at the end."""
        found = poller.poll(patience if self._is_quick else BRIEF_S * 1000)
        if not found and not self._is_quick:
            self._is_quick = True
            own_memory()
        return {descriptor for descriptor, _ in found}

    def _order_end(self) -> float:
        """Tell the supervisor to end the job; the time by which it must have."""
        try:
            self._orders.send(b"!")
        except (BrokenPipeError, ConnectionResetError):
            pass
        send(self._supervisor, signal.SIGCONT)
        return time.monotonic() + self._job.grace + _SUPERVISOR_LATE_S

    def _read(self, started: Callable[[int], None]) -> bool:
        """Take in what the supervisor reports; False when it is gone."""
        more = os.read(self._reports, 4096)
        *lines, self._text = (self._text + more).split(b"\n")
        for line in lines:
            _, sealed, said = line.partition(self._seal)
            report = load(said) if sealed else None
            if isinstance(report, Started):
                self._command = report.pid
                started(report.pid)
            elif isinstance(report, Ended):
                self._ended = report
                self._stuck = bool(report.lost)
        return bool(more)

    def _take_over(self, group: str) -> Ended:
        """The supervisor is dead: its children are ours now. End them."""
        status: int | None = None

        def note(pid: int, found: int) -> None:
            nonlocal status
            if pid == self._command:
                status = found

        left = cgroup.end_job(group, self._job.grace, note)
        cgroup.remove(group)
        lost = "the process that watched over the command was killed, so the command was ended"
        if left:
            lost += f"; process {left[0].pid} cannot be killed and keeps its devices"
            while reap(note):
                self._pipe.wait()
        return Ended(lost=lost) if status is None else ending(status, lost=lost)
