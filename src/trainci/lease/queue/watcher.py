"""Watches for what is not announced: a holder or a waiter that was killed, a lock that a foreign holder releases.

Every process that has to wait keeps one child for this. The first to lock ``queue/watcher.lock`` is the leader and
watches for all; when it dies the kernel gives the lock to the next within milliseconds. It holds no device: on an
unclean end it runs a scheduling cycle, as any other process does.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading
import time
from collections.abc import Mapping

from trainci.host.processes import SignalPipe, die_with_parent, hold_signals, poll_timeout, process, wait_for_exit
from trainci.lease.queue.cycle import (
    GRANT_LASTS_S,
    Decision,
    foreign_devices,
    lock_paths,
    publish,
    read_reservations,
    run_cycle,
    wake,
)
from trainci.lease.queue.hold import end_survivors
from trainci.lease.queue.tickets import Ticket, ring, waiting
from trainci.lease.store.directory import Directory
from trainci.lease.store.files import open_pipe, open_regular
from trainci.lease.store.leases import find, running
from trainci.lease.store.locks import is_current
from trainci.lease.store.mutex import Mutex
from trainci.lease.store.records import Reservation

_CHANGED, _CLEAN_END = b"!", b"."
# Each takes a thread. A host has far fewer leases.
_MOST_WATCHED = 512
# A process that acts rings more than once, and is in more of a hurry than one that only watches.
_LET_ACT_S = 0.01
# Who waits longer looks again.
_LONG_S = 86_400.0


class Candidate:
    """The child of a request that waits, which watches once it is the leader."""

    def __init__(self, directory: Directory, pipe: SignalPipe, status_fd: int, grace: float) -> None:
        """``pipe`` and ``status_fd`` are the parent's, and closed in the child."""
        self._directory = directory
        self._pipe = pipe
        self._status_fd = status_fd
        self._grace = grace
        self._pid = 0

    def keep(self, ticket: Ticket) -> bool:
        """See that it lives; was it forked now? ``ticket`` is the parent's, too."""
        try:
            alive = self._pid and os.waitpid(self._pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:
            alive = False
        if not alive:
            self._pid = _start(self._directory, [ticket, self._pipe], self._status_fd, self._grace)
        return not alive

    def end(self) -> None:
        """End it, if there is one. It is collected with the parent's other children, or by init."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._pid = 0


def _start(directory: Directory, owned: list[Ticket | SignalPipe], status_fd: int, grace: float) -> int:
    """Fork a candidate for the leader's place; it dies with this process. ``owned`` is closed in it.

    Returns its process id.
    """
    parent = os.getpid()
    before = hold_signals()
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid
    try:
        die_with_parent(parent)
        for thing in owned:
            thing.close()
        if status_fd >= 0:
            os.close(status_fd)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # A ^C at the terminal is for those who wait.
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        serve(directory, grace)
    finally:
        os._exit(1)


def serve(directory: Directory, grace: float) -> None:
    """Wait to be the leader, then watch until killed."""
    path = directory.join("queue", "watcher.lock")
    while True:
        leader_lock = directory.open_lock(path)
        fcntl.flock(leader_lock, fcntl.LOCK_EX)
        if is_current(leader_lock, path):
            break
        os.close(leader_lock)
    _Watcher(directory, grace).run()


class _Watcher:
    """The holders' and the waiters' deaths, as bytes in a pipe and as errors on the waiters' named pipes."""

    def __init__(self, directory: Directory, grace: float) -> None:
        self._directory = directory
        self._grace = grace
        self._news, self._report = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        bell = directory.join("queue", "watcher.fifo")
        directory.make_pipe(bell)
        self._bell = open_pipe(bell, os.O_RDWR)
        # What a thread watches now. Threads, because a wait for flock cannot be polled.
        self._watched: set[str] = set()
        self._tickets: dict[str, int] = {}
        self._mute: set[str] = set()

    def run(self) -> None:
        while True:
            decision = self._decide()
            self._watch_tickets(decision)
            self._watch_devices(decision)
            reservations = decision.reservations
            while not self._sleep(reservations):
                reservations = self._ring_granted()

    def _decide(self) -> Decision:
        with Mutex(self._directory):
            decision = run_cycle(self._directory, time.time(), waiting(self._directory))
            publish(self._directory, decision)
        wake(self._directory, decision)
        return decision

    def _ring_granted(self) -> Mapping[str, Reservation]:
        """Wake once more those whose turn it is; the reservations.

        Whoever ended cleanly has run the cycle, and ours would only be in the way of the next; but he may have been
        killed before he rang.
        """
        reservations = read_reservations(self._directory)
        for name in self._directory.names("tickets"):
            found = reservations.get(name.partition("-")[2])
            if found is not None and found.granted_at is not None:
                ring(self._directory.join("tickets", f"{name}.fifo"))
        return reservations

    def _watch_tickets(self, decision: Decision) -> None:
        """A named pipe without a reader is an error to its writer: so a waiter's death shows at once."""
        wanted = {arrival.ticket for arrival in decision.queue}
        for name in [name for name in self._tickets if name not in wanted]:
            os.close(self._tickets.pop(name))
        for name in wanted - self._tickets.keys():
            try:
                self._tickets[name] = open_pipe(self._directory.join("tickets", f"{name}.fifo"), os.O_WRONLY)
            except OSError:
                # It died since we looked; a ticket that stays in its place is no reason to look again and again.
                if name not in self._mute:
                    os.write(self._report, _CHANGED)
                    self._mute.add(name)

    def _watch_devices(self, decision: Decision) -> None:
        for lease in running(self._directory):
            self._follow(self._directory.join("leases", lease.record.id), lease.record.id)
        foreign = foreign_devices(self._directory)
        for arrival in decision.queue:
            for device in arrival.request.devices:
                if device.uuid in foreign:
                    for path in lock_paths(self._directory, device, arrival.request.pattern):
                        self._follow(path, "")

    def _follow(self, path: str, lease: str) -> None:
        if path not in self._watched and len(self._watched) < _MOST_WATCHED:
            self._watched.add(path)
            threading.Thread(target=self._wait_for, args=(path, lease), daemon=True).start()

    def _wait_for(self, path: str, lease: str) -> None:
        """In a thread: until no process holds this lock. Of a lease that is not watched, end what is left."""
        # The mutex's alarm is for the main thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        news = _CHANGED
        try:
            descriptor = open_regular(path)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            # Closed before the news is told, so that the cycle that follows finds the device free.
            os.close(descriptor)
            if lease and not os.path.lexists(path):
                news = _CLEAN_END
            elif lease:
                self._outlive(lease)
                end_survivors(self._directory, lease, self._grace)
        except OSError:
            pass
        finally:
            self._watched.discard(path)
            os.write(self._report, news)

    def _outlive(self, id: str) -> None:
        """Wait for the end of who watches over a lease whose record here is a copy."""
        lease = find(self._directory, id)
        if lease is not None and lease.moved and (holder := process(lease.record.pid)):
            wait_for_exit([holder], _LONG_S)

    def _sleep(self, reservations: Mapping[str, Reservation]) -> bool:
        """Until something happens; False where it is only that leases have ended cleanly."""
        poller = select.poll()
        poller.register(self._news, select.POLLIN)
        poller.register(self._bell, select.POLLIN)
        for descriptor in self._tickets.values():
            poller.register(descriptor, 0)
        times = [found.granted_at for found in reservations.values()]
        granted = [at for at in times if at is not None]
        patience = poll_timeout(min(granted) + GRANT_LASTS_S - time.time()) if granted else None
        ready = {descriptor for descriptor, _ in poller.poll(patience)}
        time.sleep(_LET_ACT_S)
        heard = b"".join(map(_drained, (self._news, self._bell)))
        return ready != {self._news} or bool(heard.strip(_CLEAN_END))


def _drained(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except BlockingIOError:
        return b""
