"""Runs a command under a lease, and sees that nothing of it is left before the devices are handed on.

Two processes watch over the job, and either can end it when the other is killed:

    wrapper W     what the user started; passes signals on, exits with the command's code, gives the lease back
    guardian G    child of W, parent of the command; enforces the time limit, ends the tree (``guardian``)

Whoever has to wait for the lease makes G meanwhile: its start would be part of the hand-over of the devices.

Both are subreapers: whatever a job daemonises becomes a child of G, or of W once G is gone. So the kernel itself
says when nothing is left: ``waitpid`` finds no child.
"""

from __future__ import annotations

import _socket  # `socket` itself imports enum and selectors, 10 ms.
import os
import select
import time

from trainci.host import cgroup
from trainci.host.processes import (
    SignalPipe,
    become_subreaper,
    end_descendants,
    hold_signals,
    poll_timeout,
    reap,
    send,
)
from trainci.lease.queue.hold import Lease
from trainci.lease.supervise.supervisor import ENDING_SIGNALS, Guardian, Job, grant

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from trainci.lease.queue.cycle import Ticket
else:
    import _signal as signal

EXIT_TIME_LIMIT = 124
EXIT_LOST = 3
# A guardian that has not ended the job this long after the grace period is stopped, or worse.
_GUARDIAN_LATE_S = 3.0


class Outcome:
    """How the command ended: its ``code`` or the ``signal`` that ended it, and why we ended it, if we did.

    ``stopped_by`` is the signal that the wrapper was sent (0: none), ``abandoned`` that the reader of our status
    went away. ``lost`` is a sentence when the machine is at fault.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self.signal: int | None = None
        self.time_limit = False
        self.stopped_by = 0
        self.abandoned = False
        self.lost = ""
        self.complaint = ""

    @property
    def exit_code(self) -> int:
        """The wrapper's exit code. A command that was cut short is never a success, whatever it exits with."""
        if self.stopped_by:
            return 128 + self.stopped_by
        if self.lost:
            return EXIT_LOST
        code = 128 + self.signal if self.signal else self.code or 0
        return code or (EXIT_TIME_LIMIT if self.time_limit else 0)


class Wrapper:
    """Runs one command, to its end and the end of all that it started, once there is a lease for it.

    ``pipe`` listens to SIGCHLD and ENDING_SIGNALS; when the reader of ``status_fd`` (-1: none) goes away, the
    command is ended.
    """

    def __init__(self, job: Job, pipe: SignalPipe, status_fd: int) -> None:
        self._job = job
        self._pipe = pipe
        self._status_fd = status_fd
        self._guardian = 0
        self._text = b""
        self._outcome = Outcome()
        self._command = 0
        self._group = ""
        self._ended = False
        self._stuck = False

    def prepare(self, ticket: Ticket) -> None:
        """Do what can be done before there is a lease. ``ticket`` is that of the waiting request."""
        if not self._has_guardian():
            self._fork(None, ticket)

    def _has_guardian(self) -> bool:
        """It may have been killed while we waited."""
        return self._guardian > 0 and os.waitpid(self._guardian, os.WNOHANG) == (0, 0)

    def _fork(self, lease: Lease | None, ticket: Ticket | None = None) -> None:
        become_subreaper()
        self._orders, orders = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._reports, reports = os.pipe2(os.O_CLOEXEC)
        before = hold_signals()
        self._guardian = os.fork()
        if self._guardian == 0:
            try:
                if ticket is not None:
                    ticket.close()
                self._orders.close()
                for descriptor in (self._reports, self._status_fd):
                    if descriptor >= 0:
                        os.close(descriptor)
                Guardian(self._job, orders, reports).watch(before, lease)
            finally:
                os._exit(EXIT_LOST)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        orders.close()
        os.close(reports)

    def dismiss(self) -> None:
        """There will be no lease."""
        if self._guardian:
            send(self._guardian, signal.SIGKILL)

    def run(self, lease: Lease, started: Callable[[int], None]) -> Outcome:
        """Run the command, then give the lease back. ``started`` is called with the command's process id."""
        self._group = lease.record.cgroup
        limit = self._job.time_limit
        deadline = None if limit is None else time.monotonic() + limit
        if self._has_guardian():
            self._grant(lease)
        else:
            self._fork(lease)
        lease.listen()
        outcome = self._follow(deadline, started)
        if self._stuck:
            # The guardian stays, and keeps the devices until the kernel lets go of that process.
            lease.abandon()
        else:
            lease.let_go()
        return outcome

    def _grant(self, lease: Lease) -> None:
        try:
            grant(self._orders, lease)
        except (BrokenPipeError, ConnectionResetError):
            # It was killed just now; its reports end, too.
            return
        send(self._guardian, signal.SIGCONT)

    def _follow(self, deadline: float | None, started: Callable[[int], None]) -> Outcome:
        """Until the guardian has reported the end, or has died."""
        # A guardian that does not do its work (it may be stopped) is replaced by ourselves.
        overdue = None if deadline is None else deadline + self._job.grace + _GUARDIAN_LATE_S
        poller = select.poll()
        poller.register(self._reports, select.POLLIN)
        poller.register(self._pipe.fd, select.POLLIN)
        if self._status_fd >= 0:
            poller.register(self._status_fd, 0)
        while not self._ended:
            patience = None if overdue is None else poll_timeout(overdue - time.monotonic())
            ready = {descriptor for descriptor, _ in poller.poll(patience)}
            if self._reports in ready and not self._read(started):
                self._take_over()
            if self._status_fd in ready and self._status_fd >= 0:
                poller.unregister(self._status_fd)
                self._outcome.abandoned = True
                overdue = self._order_end()
            number = next(iter(self._pipe.take() & set(ENDING_SIGNALS)), 0)
            if number:
                self._outcome.stopped_by = self._outcome.stopped_by or number
                overdue = self._order_end()
            if overdue is not None and time.monotonic() >= overdue:
                send(self._guardian, signal.SIGKILL)
        return self._outcome

    def _order_end(self) -> float:
        """Tell the guardian to end the job; the time by which it must have."""
        try:
            self._orders.send(b"!")
        except (BrokenPipeError, ConnectionResetError):
            pass
        send(self._guardian, signal.SIGCONT)
        return time.monotonic() + self._job.grace + _GUARDIAN_LATE_S

    def _read(self, started: Callable[[int], None]) -> bool:
        """Take in what the guardian reports; False when it is gone."""
        more = os.read(self._reports, 4096)
        *lines, self._text = (self._text + more).split(b"\n")
        for line in lines:
            what, _, rest = line.decode("utf-8", "replace").partition(" ")
            if what == "started":
                self._command = int(rest)
                started(self._command)
            elif what == "failed":
                code, _, self._outcome.complaint = rest.partition(" ")
                self._outcome.code = int(code)
                self._ended = True
            else:
                status, limit, stuck = map(int, rest.split())
                self._settle(status)
                self._outcome.time_limit = limit == 1
                if stuck:
                    self._stuck = True
                    self._outcome.lost = (
                        f"process {stuck} cannot be killed (it waits inside the kernel); its devices stay taken"
                    )
                self._ended = True
        return bool(more)

    def _settle(self, status: int) -> None:
        if os.WIFSIGNALED(status):
            self._outcome.signal = os.WTERMSIG(status)
        else:
            self._outcome.code = os.WEXITSTATUS(status)

    def _take_over(self) -> None:
        """The guardian is dead: its children are ours now. End them."""
        self._ended = True
        self._outcome.lost = "the process that watched over the command was killed, so the command was ended"

        def note(pid: int, status: int) -> None:
            if pid == self._command:
                self._settle(status)

        left = end_descendants(self._job.grace, note)
        if not left and not cgroup.end(self._group):
            left = cgroup.members(self._group)
        cgroup.remove(self._group)
        if left:
            self._outcome.lost += f"; process {left[0].pid} cannot be killed and keeps its devices"
            while reap(note):
                self._pipe.wait()
