"""A process tree: find every descendant, end all of them politely and then for certain, hear when they are gone.

It reads /proc by hand and calls prctl through ``_ctypes``: this is on the start-up path of every lease, where
psutil, ctypes, signal and subprocess would each cost more than the whole of what is done here. It knows nothing
of leases.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable
    from typing import Any
else:
    import _signal as signal  # The enum-free half of `signal`, which starts 5 ms sooner.

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# How long SIGKILL may take to act before a process counts as one that cannot be killed (state D: it waits for
# a device or a disk inside the kernel).
UNKILLABLE_AFTER_S = 10.0


def poll_timeout(seconds: float) -> int:
    """Milliseconds for ``poll``, rounded up; at most the 24 days that it takes: who waits longer looks again."""
    return min(2**31 - 1, max(0, int(seconds * 1000)) + 1)


def become_subreaper() -> None:
    """Make every orphan among this process's descendants its own child, as init would (prctl(2))."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Have the kernel send SIGKILL to this process when its parent, the process ``parent``, dies (prctl(2))."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    import _ctypes

    this_program: Any = None
    function = _ctypes.dlsym(_ctypes.dlopen(this_program, 0), "prctl")
    if _ctypes.call_function(function, (option, value, 0, 0, 0)) != 0:
        raise OSError(f"prctl({option}, {value}) was refused by the kernel")


def hold_signals() -> set[int]:
    """Hold back, around a fork, the signals that a process of ours handles; returns the mask to go back to."""
    return set(
        signal.pthread_sigmask(
            signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM)
        )
    )


class SignalPipe:
    """Turns signals into bytes that ``poll`` can wait for, on ``fd``. A signal that is ignored stays ignored."""

    def __init__(self, signals: Iterable[int]) -> None:
        self.fd, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in signals:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _wake_only)

    def take(self) -> set[int]:
        """The signals that came since the last call."""
        try:
            return set(os.read(self.fd, 4096))
        except BlockingIOError:
            return set()

    def wait(self) -> None:
        """Sleep until a signal comes."""
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        poller.poll()
        self.take()

    def close(self) -> None:
        """Stop listening."""
        signal.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._write)


def _wake_only(number: int, frame: object) -> None:
    """A handler must exist for the kernel to wake the process up; the byte in the pipe says the rest."""


def reap(on_exit: Callable[[int, int], None]) -> bool:
    """Collect the children that have exited, calling ``on_exit(pid, wait_status)``; is there any child left?

    For a subreaper, "no child" is the kernel's own word that no descendant is left: an orphan becomes its child
    at the moment it is orphaned.
    """
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        on_exit(pid, status)


def descendants(root: int) -> list[int]:
    """Every process below ``root`` that is not a zombie, by the parents that /proc shows."""
    parents: dict[int, int] = {}
    for pid in _pids():
        found = _stat(pid)
        if found is not None and found[0] not in "ZX":
            parents[pid] = found[1]
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    tree: list[int] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        tree += below
        todo += below
    return tree


def marked(name: str, part: str) -> list[int]:
    """Every process, but this one, that was started with ``part`` in the environment variable ``name``.

    The variable's value is a list with "/" between its parts. Only processes whose environment this user may read
    can be found, and not those that were started with another environment.
    """
    prefix = f"{name}=".encode()
    found = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            continue
        values = [variable[len(prefix) :] for variable in variables if variable.startswith(prefix)]
        if any(part.encode() in value.split(b"/") for value in values) and pid != os.getpid():
            state = _stat(pid)
            if state is not None and state[0] not in "ZX":
                found.append(pid)
    return found


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is gone, or that may not be signalled, is left alone."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def end_descendants(
    grace: float, pipe: SignalPipe, on_exit: Callable[[int, int], None], spare: Iterable[int] = ()
) -> list[int]:
    """End every descendant of this subreaper: SIGTERM, up to ``grace`` seconds, then SIGKILL until none is left.

    ``pipe`` must listen to SIGCHLD. Returns the processes that even SIGKILL did not end within
    UNKILLABLE_AFTER_S, normally none. ``spare`` are children that are left alone and not waited for.
    """
    me = os.getpid()
    spared = set(spare)
    told: set[int] = set()
    polite_until = time.monotonic() + grace
    give_up_at = polite_until + UNKILLABLE_AFTER_S
    poller = select.poll()
    poller.register(pipe.fd, select.POLLIN)
    while True:
        left = reap(on_exit) and (not spared or any(pid not in spared for pid in descendants(me)))
        now = time.monotonic()
        if not left:
            return []
        if now >= give_up_at:
            return [pid for pid in descendants(me) if pid not in spared]
        polite = now < polite_until
        for pid in descendants(me):
            if pid in spared or (polite and pid in told):
                continue
            told.add(pid)
            send(pid, signal.SIGTERM if polite else signal.SIGKILL)
            if polite:
                # A stopped process acts on SIGTERM only once it runs again.
                send(pid, signal.SIGCONT)
        # A process that was forked between the listing and the signal has no exit to be woken by: look again soon.
        poller.poll(20 if not polite else max(1, min(50, int((polite_until - now) * 1000))))
        pipe.take()


def end_found(find: Callable[[], list[int]], grace: float) -> list[int]:
    """End every process that ``find`` finds, descendants or not, in the way of ``end_descendants``.

    Waits for processes that may not be signalled, too. Returns those that did not end.
    """
    polite_until = time.monotonic() + grace
    give_up_at = polite_until + UNKILLABLE_AFTER_S
    told: set[int] = set()
    while True:
        found = find()
        now = time.monotonic()
        if not found or now >= give_up_at:
            return found
        polite = now < polite_until
        for pid in found:
            if not (polite and pid in told):
                told.add(pid)
                send(pid, signal.SIGTERM if polite else signal.SIGKILL)
                send(pid, signal.SIGCONT)
        wait_for_exit(found, min(0.25, max(0.01, (polite_until if polite else give_up_at) - now)))


def wait_for_exit(pids: Iterable[int], timeout: float) -> None:
    """Wait until one of the processes has exited, at most ``timeout`` seconds (pidfd_open(2))."""
    poller = select.poll()
    opened = []
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            continue
        opened.append(descriptor)
        poller.register(descriptor, select.POLLIN)
    try:
        poller.poll(max(1, int(timeout * 1000)))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and parent of a process (proc(5)); None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            after_name = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return after_name[0].decode(), int(after_name[1])
