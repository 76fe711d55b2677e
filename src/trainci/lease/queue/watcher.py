"""Watches for what nobody announces: a holder or a waiter that was killed, a lock that a stranger lets go.

Every process that has to wait keeps one child for this. The first to lock ``queue/sentinel.lock`` watches for all;
when it dies the kernel gives the lock, and so the office, to the next within milliseconds. It holds no device:
on an unclean end it runs a pass, as anybody might.
"""

from __future__ import annotations

import _thread
import fcntl
import os
import select
import time

from trainci.host.files import read_text
from trainci.host.processes import SignalPipe, die_with_parent, hold_signals
from trainci.lease.queue.cycle import GRANT_LASTS_S, Pass, lock_paths, strangers, waiting
from trainci.lease.queue.hold import end_survivors
from trainci.lease.store.directory import Directory
from trainci.lease.store.locks import Mutex, is_current
from trainci.lease.store.records import Record, load_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from trainci.lease.queue.cycle import Ticket
else:
    import _signal as signal


def start(directory: Directory, owned: list[Ticket | SignalPipe], status_fd: int, grace: float) -> int:
    """Fork a candidate for the office; it dies with this process. ``owned`` is closed in it. Returns its pid."""
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
    """Wait for the office, then watch until killed."""
    path = directory.join("queue", "sentinel.lock")
    while True:
        office = directory.open_lock(path)
        fcntl.flock(office, fcntl.LOCK_EX)
        if is_current(office, path):
            break
        os.close(office)
    _Watch(directory, grace).run()


class _Watch:
    """The holder's and the waiters' deaths, as bytes in a pipe and as errors on the waiters' named pipes."""

    def __init__(self, directory: Directory, grace: float) -> None:
        self._directory = directory
        self._grace = grace
        self._news, self._report = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._bell = os.open(directory.join("queue", "sentinel.fifo"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        # What a thread watches now. Threads, because a wait for flock cannot be polled.
        self._watched: set[str] = set()
        self._tickets: dict[str, int] = {}

    def run(self) -> None:
        while True:
            look = self._look()
            self._watch_tickets(look)
            self._watch_devices(look)
            self._sleep(look)

    def _look(self) -> Pass:
        with Mutex(self._directory):
            look = Pass(self._directory, time.time(), waiting(self._directory))
            look.publish()
        look.wake()
        return look

    def _watch_tickets(self, look: Pass) -> None:
        """A named pipe that nobody reads any more is an error to its writer: so a waiter's death shows at once."""
        wanted = {look.ticket_name(request) for request in look.queue}
        for name in [name for name in self._tickets if name not in wanted]:
            os.close(self._tickets.pop(name))
        for name in wanted - self._tickets.keys():
            try:
                path = self._directory.join("tickets", f"{name}.fifo")
                self._tickets[name] = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                # It died since we looked.
                os.write(self._report, b"!")

    def _watch_devices(self, look: Pass) -> None:
        for id in self._directory.names("leases"):
            path = self._directory.join("leases", id)
            record = load_record(read_text(path))
            if record is not None:
                self._follow(path, record)
        noted = strangers(self._directory)
        for request in look.queue:
            for place in request.places:
                if place.uuid in noted:
                    for path in lock_paths(self._directory, place, request.pattern):
                        self._follow(path, None)

    def _follow(self, path: str, record: Record | None) -> None:
        if path not in self._watched:
            self._watched.add(path)
            _thread.start_new_thread(self._wait_for, (path, record))

    def _wait_for(self, path: str, record: Record | None) -> None:
        """In a thread: until nobody holds this lock. Of a lease whose guardians are gone, end what is left."""
        # The mutex's alarm is for the main thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            # Closed before the news is told, so that the pass that follows finds the device free.
            os.close(descriptor)
            if record is not None:
                end_survivors(self._directory, record, self._grace)
        except OSError:
            pass
        finally:
            self._watched.discard(path)
            os.write(self._report, b"!")

    def _sleep(self, look: Pass) -> None:
        poller = select.poll()
        poller.register(self._news, select.POLLIN)
        poller.register(self._bell, select.POLLIN)
        for descriptor in self._tickets.values():
            poller.register(descriptor, 0)
        granted = [turn.granted_at for turn in look.plan.values() if turn.granted_at is not None]
        patience = min(granted) + GRANT_LASTS_S - time.time() if granted else None
        poller.poll(None if patience is None else max(0, int(patience * 1000)) + 1)
        for descriptor in (self._news, self._bell):
            try:
                os.read(descriptor, 4096)
            except BlockingIOError:
                continue
