"""The guardian: parent of the command. It enforces the time limit and ends everything that the command started."""

from __future__ import annotations

import _thread
import os
import select
import time

from trainci.lease import cgroup
from trainci.lease.hold import Lease
from trainci.processes import SignalPipe, become_subreaper, end_descendants, poll_timeout, reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

# What ends a job. The one that is listened to besides is SIGCHLD.
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EXIT_CANNOT_RUN = 126
EXIT_NOT_FOUND = 127
# A wrapper that has not given the lease back this long after the job's end is stopped, or worse.
_WRAPPER_LATE_S = 1.0


class Guardian:
    """Lives in a child of the wrapper; ``watch`` does not return.

    An order, or the end of all orders, comes by the pipe ``orders``; what happens is told by ``reports``, in lines:
    ``started PID``, ``failed CODE SENTENCE``, ``ended STATUS LIMITED STUCK``.
    """

    def __init__(self, lease: Lease, time_limit: float | None, grace: float, orders: int, reports: int) -> None:
        self._lease = lease
        self._time_limit = time_limit
        self._grace = grace
        self._orders = orders
        self._reports = reports
        self._command = 0
        self._status: int | None = None
        self._group = lease.record.cgroup if cgroup.make(lease.record.cgroup) else ""

    def watch(self, command: list[str], environment: dict[str, str], mask: set[int]) -> None:
        """Start the command, end it, see that the lease is given back, exit."""
        wrapper_group = os.getpgrp()
        at_terminal = os.isatty(0)
        if at_terminal:
            # The command stays in the wrapper's group, to which the terminal belongs; we leave it, so that what is
            # sent to that group does not take both guardians.
            os.setpgid(0, 0)
        else:
            os.setsid()
        become_subreaper()
        pipe = SignalPipe((signal.SIGCHLD, *ENDING_SIGNALS))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            self._command = os.posix_spawnp(
                command[0],
                command,
                environment,
                setpgroup=wrapper_group if at_terminal else 0,
                setsigmask=mask,
                setsigdef=[*_restored()],
            )
        except OSError as error:
            code = EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_CANNOT_RUN
            self._tell(f"failed {code} {command[0]!a}: {error.strerror}")
        else:
            self._tell(f"started {self._command}")
            _leave_streams()
            if self._group:
                # In a thread: a command that is short must not wait for it.
                _thread.start_new_thread(self._adopt, ())
            self._guard(pipe)
        self._see_it_given_back()
        cgroup.remove(self._group)
        os._exit(0)

    def _adopt(self) -> None:
        # The mutex's alarm is for the main thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        cgroup.adopt(self._group, os.getpid())

    def _guard(self, pipe: SignalPipe) -> None:
        limited = self._wait(pipe)
        left = end_descendants(self._grace, pipe, self._note)
        if not left and not cgroup.end(self._group):
            left = cgroup.members(self._group)
        self._tell(f"ended {self._status or 0} {int(limited)} {left[0] if left else 0}")
        while left and reap(self._note):
            pipe.wait()
        while not cgroup.end(self._group):
            continue

    def _wait(self, pipe: SignalPipe) -> bool:
        """Until the command has exited or must be ended; is it the time limit that ends it?"""
        deadline = None if self._time_limit is None else time.monotonic() + self._time_limit
        poller = select.poll()
        poller.register(pipe.fd, select.POLLIN)
        poller.register(self._orders, select.POLLIN)
        while True:
            reap(self._note)
            if self._status is not None:
                return False
            patience = None if deadline is None else poll_timeout(deadline - time.monotonic())
            ready = {descriptor for descriptor, _ in poller.poll(patience)}
            # An order, or the end of all orders: the wrapper is gone.
            if self._orders in ready or pipe.take() & set(ENDING_SIGNALS):
                return False
            if deadline is not None and time.monotonic() >= deadline:
                reap(self._note)
                return self._status is None

    def _note(self, pid: int, status: int) -> None:
        if pid == self._command:
            self._status = status

    def _tell(self, line: str) -> None:
        try:
            os.write(self._reports, f"{line}\n".encode())
        except BrokenPipeError:
            return

    def _see_it_given_back(self) -> None:
        """The wrapper gives the lease back and exits; where it was killed, or is stopped, we do so."""
        poller = select.poll()
        poller.register(self._orders, 0)
        poller.poll(int(_WRAPPER_LATE_S * 1000))
        if not self._lease.is_given_back():
            self._lease.let_go()


def _restored() -> list[int]:
    """Signals that Python or we treat in our own way, and that a command expects as it would find them."""
    ours = [number for number in ENDING_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    return [*ours, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD]


def _leave_streams() -> None:
    """Let go of the streams: whoever reads the command's output must see its end when the command ends."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
