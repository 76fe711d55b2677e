"""Processes: one walk of /proc, one way to end what it finds, and how to hear when something has ended.

It knows nothing of leases or tests, and nothing else than the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from trainci.host.files import read_bytes, read_text

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_MADV_POPULATE_WRITE = 23
# How long SIGKILL may take to act before a process counts as one that cannot be killed (state D: it waits for
# a device or a disk inside the kernel).
UNKILLABLE_AFTER_S = 10.0
# A process that was forked between a listing and its signals has no exit to be woken by: look again soon.
_LOOK_AGAIN_S = 0.05
_LOOK_AGAIN_KILLING_S = 0.02
# Of so many at most an exit wakes us at once: each takes a descriptor.
_MOST_WATCHED = 64


@dataclass(frozen=True)
class Process:
    """A process that runs (proc(5)). ``started``, in ticks since boot, tells it from a later one of this ``pid``.

    ``state`` is the kernel's letter: R runs, S sleeps, D waits inside the kernel, T is stopped; Z has ended its
    main thread, but not its others.
    """

    pid: int
    started: int
    parent: int = field(compare=False)
    group: int = field(compare=False)
    session: int = field(compare=False)
    state: str = field(compare=False)

    def send(self, number: int) -> None:
        """Send a signal to this process and no other; nothing happens where it is gone, or not ours to signal."""
        with contextlib.suppress(ProcessLookupError, PermissionError), contextlib.ExitStack() as stack:
            try:
                handle = os.pidfd_open(self.pid)
            except ProcessLookupError:
                return
            except OSError:
                # No descriptor is left, or the kernel is older than 5.3.
                if process(self.pid) == self:
                    os.kill(self.pid, number)
                return
            stack.callback(os.close, handle)
            # Compared once the handle is open: what has the number now is what the handle means.
            if process(self.pid) == self:
                signal.pidfd_send_signal(handle, number)

    def send_to_thread(self, thread: int, number: int) -> bool:
        """Send a signal to one thread of this process; False where that cannot be (tgkill(2))."""
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "tgkill") or process(self.pid) != self:
            return False
        return bool(libc.tgkill(self.pid, thread, number) == 0)


# A child that the kernel says is there and /proc does not show (hidepid, proc(5)): another user's.
UNSEEN = Process(0, 0, 0, 0, 0, "?")


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
    if ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))) != 0:
        raise OSError(f"prctl({option}, {value}) was refused by the kernel")


def own_memory() -> None:
    """Make what this process shares with a parent or a child since a fork its own, as its first writes would.

    Each first write to a page costs a page fault and a copy, and Python writes to all that it uses. So a process
    that was forked, or has forked, calls this before it sleeps until it has to be quick. Nothing happens before
    Linux 5.14 (madvise(2), MADV_POPULATE_WRITE).
    """
    madvise = ctypes.CDLL(None).madvise
    for line in (read_text("/proc/self/maps") or "").splitlines():
        span, mode, *_ = line.split(maxsplit=2)
        if mode == "rw-p":
            first, end = (int(address, 16) for address in span.split("-"))
            madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), _MADV_POPULATE_WRITE)


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


def ended_by_seccomp(child: int) -> bool | None:
    """Whether seccomp ended ``child``, which nobody has collected yet; None while it runs.

    In strict mode that is a SIGKILL like any other; the mode is then DEAD (linux/seccomp.h, seccomp(2)).
    """
    try:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        return "\nSeccomp:\t3\n" in (read_text(f"/proc/{child}/status") or "")
    except OSError:
        return None


def process(pid: int) -> Process | None:
    """The process that has this number now; None when there is none, or a zombie without a thread."""
    try:
        text = read_bytes(f"/proc/{pid}/stat")
    except OSError:
        return None
    # After the name, which may hold anything, comes the third field.
    fields = text.rpartition(b")")[2].split()
    state, threads = fields[0].decode(), int(fields[17])
    if state in "ZX" and threads <= 1:
        return None
    return Process(pid, int(fields[19]), int(fields[1]), int(fields[2]), int(fields[3]), state)


def processes() -> list[Process]:
    """Every process that runs, as far as /proc shows them."""
    found = (process(int(name)) for name in os.listdir("/proc") if name.isdecimal())
    return [each for each in found if each is not None]


def descendants(root: int) -> list[Process]:
    """Every process below ``root``, by the parents that /proc shows."""
    return below({root}, processes())


def below(roots: Iterable[int], among: Iterable[Process]) -> list[Process]:
    """Those of ``among`` that are descendants of the processes with these numbers."""
    children: dict[int, list[Process]] = {}
    for each in among:
        children.setdefault(each.parent, []).append(each)
    tree: list[Process] = []
    todo = list(roots)
    while todo:
        found = children.pop(todo.pop(), [])
        tree += found
        todo += [each.pid for each in found]
    return tree


def marked(name: str, part: str, among: Iterable[Process] | None = None, separator: str = "/") -> list[Process]:
    """Those of ``among`` (all), but us, that were started with ``part`` in the environment variable ``name``.

    The variable's value is a list with ``separator`` between its parts. Only processes whose environment this user
    may read can be found, and not those that were started with another environment.
    """
    return [
        each
        for each in (processes() if among is None else among)
        if each.pid != os.getpid() and part.encode() in variable(each.pid, name).split(separator.encode())
    ]


def owner(pid: int) -> int | None:
    """The user who started a process: its real user id, whatever it has become; None where it is gone."""
    uid = status(pid, "Uid")
    return int(uid) if uid else None


def has_open(pid: int, end: str) -> bool:
    """Whether a process has a file open whose path ends so, wherever that lies now; as far as we may see."""
    with contextlib.suppress(OSError):
        for link in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # it was closed meanwhile
                if os.readlink(link.path).removesuffix(" (deleted)").endswith(end):
                    return True
    return False


def status(pid: int, name: str) -> str:
    """The first word that /proc/PID/status says of ``name``; empty where there is none to be read."""
    lines = (read_text(f"/proc/{pid}/status") or "").splitlines()
    return next((line.split()[1] for line in lines if line.startswith(f"{name}:")), "")


def variable(pid: int, name: str) -> bytes:
    """The value that the process was started with in its environment; empty where there is none to be read."""
    try:
        variables = read_bytes(f"/proc/{pid}/environ").split(b"\0")
    except OSError:
        return b""
    prefix = f"{name}=".encode()
    return next((variable[len(prefix) :] for variable in variables if variable.startswith(prefix)), b"")


def send(pid: int, number: int) -> None:
    """Send a signal to a child that was not waited for yet; to any other, by ``Process.send``."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def end(find: Callable[[], Collection[Process] | None], grace: float, *, ask: bool = True) -> list[Process]:
    """End every process that ``find`` finds: SIGTERM, up to ``grace`` seconds, then SIGKILL until none is left.

    ``find`` gives None once it is certain that none is left. Those that may not be signalled are waited for, too.
    Without ``ask`` nothing is sent before SIGKILL: the caller has asked them to end. Returns the processes that
    even SIGKILL did not end within UNKILLABLE_AFTER_S, normally none.
    """
    polite_until = time.monotonic() + grace
    give_up_at = polite_until + UNKILLABLE_AFTER_S
    asked: set[Process] = set()
    while (found := find()) is not None:
        now = time.monotonic()
        if now >= give_up_at:
            return list(found)
        polite = now < polite_until
        for each in found:
            if not polite:
                each.send(signal.SIGKILL)
            elif ask and each not in asked:
                asked.add(each)
                each.send(signal.SIGTERM)
                # A stopped process acts on SIGTERM only once it runs again.
                each.send(signal.SIGCONT)
        wait_for_exit(found, min(_LOOK_AGAIN_S, polite_until - now) if polite else _LOOK_AGAIN_KILLING_S)
    return []


def end_descendants(grace: float, on_exit: Callable[[int, int], None]) -> list[Process]:
    """``end`` every descendant of this subreaper, and collect its children as ``reap`` does."""
    return end(lambda: descendants(os.getpid()) or [UNSEEN] if reap(on_exit) else None, grace)


def wait_for_exit(watched: Collection[Process], timeout: float) -> None:
    """Wait until one of the processes has exited, at most ``timeout`` seconds (pidfd_open(2))."""
    poller = select.poll()
    with contextlib.ExitStack() as opened:
        for each in list(watched)[:_MOST_WATCHED]:
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(each.pid)
                opened.callback(os.close, handle)
                poller.register(handle, select.POLLIN)
        poller.poll(poll_timeout(timeout))
