"""Runs a command under a lease, and sees that nothing of it is left before the devices are handed on.

Two processes watch over the job, and either can end it when the other is killed:

    wrapper W     what the user started; passes signals on, exits with the command's code, gives the lease back
    guardian G    child of W, parent of the command; enforces the time limit, ends the tree (``guardian``)

Both are subreapers: whatever a job daemonises becomes a child of G, or of W once G is gone. So the kernel itself
says when nothing is left: ``waitpid`` finds no child.
"""

from __future__ import annotations

import os
import select
import time

from trainci.lease import cgroup
from trainci.lease.guardian import ENDING_SIGNALS, Guardian
from trainci.lease.hold import Lease
from trainci.processes import (
    SignalPipe,
    become_subreaper,
    end_descendants,
    hold_signals,
    poll_timeout,
    reap,
    send,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
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


def run(
    lease: Lease,
    command: list[str],
    environment: dict[str, str],
    time_limit: float | None,
    grace: float,
    pipe: SignalPipe,
    status_fd: int,
    started: Callable[[int], None],
) -> Outcome:
    """Run the command to its end, and the end of all that it started; then give the lease back.

    ``pipe`` listens to SIGCHLD and ENDING_SIGNALS. ``started`` is called with the command's process id.
    """
    become_subreaper()
    wrapper = _Wrapper(grace, pipe, status_fd, started)
    wrapper.start(lease, command, environment, time_limit)
    deadline = None if time_limit is None else time.monotonic() + time_limit
    lease.listen()
    outcome = wrapper.follow(deadline)
    if wrapper.stuck:
        # The guardian stays, and keeps the devices until the kernel lets go of that process.
        lease.abandon()
    else:
        lease.let_go()
    return outcome


class _Wrapper:
    def __init__(self, grace: float, pipe: SignalPipe, status_fd: int, started: Callable[[int], None]) -> None:
        self._grace = grace
        self._pipe = pipe
        self._status_fd = status_fd
        self._started = started
        self._guardian = 0
        self._command = 0
        self._group = ""
        self._orders = -1
        self._reports = -1
        self._text = b""
        self._outcome = Outcome()
        self._ended = False
        self.stuck = False

    def start(
        self, lease: Lease, command: list[str], environment: dict[str, str], time_limit: float | None
    ) -> None:
        orders, self._orders = os.pipe2(os.O_CLOEXEC)
        self._reports, reports = os.pipe2(os.O_CLOEXEC)
        for descriptor in lease.locks:
            os.set_inheritable(descriptor, True)
        self._group = lease.record.cgroup
        before = hold_signals()
        self._guardian = os.fork()
        if self._guardian == 0:
            try:
                for descriptor in (self._orders, self._reports, self._status_fd):
                    if descriptor >= 0:
                        os.close(descriptor)
                Guardian(lease, time_limit, self._grace, orders, reports).watch(command, environment, before)
            finally:
                os._exit(EXIT_LOST)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(orders)
        os.close(reports)

    def follow(self, deadline: float | None) -> Outcome:
        """Until the guardian has reported the end, or has died."""
        # A guardian that does not do its work (it may be stopped) is replaced by ourselves.
        overdue = None if deadline is None else deadline + self._grace + _GUARDIAN_LATE_S
        poller = select.poll()
        poller.register(self._reports, select.POLLIN)
        poller.register(self._pipe.fd, select.POLLIN)
        if self._status_fd >= 0:
            poller.register(self._status_fd, 0)
        while not self._ended:
            patience = None if overdue is None else poll_timeout(overdue - time.monotonic())
            ready = {descriptor for descriptor, _ in poller.poll(patience)}
            if self._reports in ready and not self._read():
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
            os.write(self._orders, b"!")
        except BrokenPipeError:
            pass
        send(self._guardian, signal.SIGCONT)
        return time.monotonic() + self._grace + _GUARDIAN_LATE_S

    def _read(self) -> bool:
        """Take in what the guardian reports; False when it is gone."""
        more = os.read(self._reports, 4096)
        *lines, self._text = (self._text + more).split(b"\n")
        for line in lines:
            what, _, rest = line.decode("utf-8", "replace").partition(" ")
            if what == "started":
                self._command = int(rest)
                self._started(self._command)
            elif what == "failed":
                code, _, self._outcome.complaint = rest.partition(" ")
                self._outcome.code = int(code)
                self._ended = True
            else:
                status, limit, stuck = map(int, rest.split())
                self._settle(status)
                self._outcome.time_limit = limit == 1
                if stuck:
                    self.stuck = True
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

        left = end_descendants(self._grace, self._pipe, note)
        if not left and not cgroup.end(self._group):
            left = cgroup.members(self._group)
        cgroup.remove(self._group)
        if left:
            self._outcome.lost += f"; process {left[0]} cannot be killed and keeps its devices"
            while reap(note):
                self._pipe.wait()
