"""Runs a command under a lease, and sees that nothing of it is left before the devices are handed on.

Two processes watch over the job, and either can end it when the other is killed:

    wrapper W     what the user started; passes signals on, exits with the command's code, gives the lease back
    guardian G    child of W, parent of the command; enforces the time limit, ends the tree

Both are subreapers: whatever a job daemonises becomes a child of G, or of W once G is gone. So the kernel itself
says when nothing is left: ``waitpid`` finds no child.
"""

from __future__ import annotations

import os
import select
import time

from trainci.lease.hold import Lease
from trainci.processes import (
    SignalPipe,
    become_subreaper,
    end_descendants,
    hold_signals,
    reap,
    send,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    import _signal as signal

# What ends a wrapper's job. The one that it listens to besides is SIGCHLD.
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EXIT_CANNOT_RUN = 126
EXIT_NOT_FOUND = 127
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
    outcome = wrapper.follow(None if time_limit is None else time.monotonic() + time_limit)
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
        before = hold_signals()
        self._guardian = os.fork()
        if self._guardian == 0:
            try:
                for descriptor in (self._orders, self._reports, self._status_fd):
                    if descriptor >= 0:
                        os.close(descriptor)
                _Guardian(lease, time_limit, self._grace, orders, reports).watch(command, environment, before)
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
            patience = None if overdue is None else max(0, int((overdue - time.monotonic()) * 1000)) + 1
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
        if left:
            self._outcome.lost += f"; process {left[0]} cannot be killed and keeps its devices"
            while reap(note):
                _wait(self._pipe)


class _Guardian:
    def __init__(self, lease: Lease, time_limit: float | None, grace: float, orders: int, reports: int) -> None:
        self._lease = lease
        self._time_limit = time_limit
        self._grace = grace
        self._orders = orders
        self._reports = reports
        self._command = 0
        self._status: int | None = None

    def watch(self, command: list[str], environment: dict[str, str], mask: set[int]) -> None:
        """Start the command, end it, exit."""
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
            self._fail(command[0], error)
        self._tell(f"started {self._command}")
        _leave_streams()
        limited = self._wait(pipe)
        left = end_descendants(self._grace, pipe, self._note)
        status = self._status or 0
        if not left and not self._wrapper_is_gone():
            # From here on the wrapper alone holds the devices, and need not wait for our exit.
            self._lease.close_locks()
        self._tell(f"ended {status} {int(limited)} {left[0] if left else 0}")
        while left and reap(self._note):
            _wait(pipe)
        if left or self._wrapper_is_gone():
            self._lease.let_go()
        os._exit(0)

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
            patience = None if deadline is None else max(0, int((deadline - time.monotonic()) * 1000)) + 1
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

    def _wrapper_is_gone(self) -> bool:
        poller = select.poll()
        poller.register(self._orders, 0)
        return bool(poller.poll(0))

    def _fail(self, name: str, error: OSError) -> None:
        code = EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_CANNOT_RUN
        self._lease.close_locks()
        self._tell(f"failed {code} {name!a}: {error.strerror}")
        os._exit(0)


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


def _wait(pipe: SignalPipe) -> None:
    poller = select.poll()
    poller.register(pipe.fd, select.POLLIN)
    poller.poll()
    pipe.take()
