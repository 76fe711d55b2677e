"""Getting a lease: arriving, waiting for our turn, taking the devices, and seeing that they are fit."""

from __future__ import annotations

import os
import select
import time

from trainci.host.processes import SignalPipe
from trainci.lease.queue.cycle import (
    Pass,
    Ticket,
    lease_of,
    note_strangers,
    read_plan,
    ring_sentinel,
    strangers,
    waiting,
)
from trainci.lease.queue.hold import Lease, LockedError, end_survivors, take_lease
from trainci.lease.store.directory import Directory
from trainci.lease.store.health import Probe, forgiven, quarantine, unfit
from trainci.lease.store.locks import Mutex
from trainci.lease.store.records import Request, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    import _signal as signal

# A waiter looks by itself only this late (and one second later for each that is ahead), in case that the one who
# should have woken it is stopped or frozen.
_WATCHDOG_S = 1.0


class Position:
    """What a waiter is told: how many are ahead, when it may expect to start (FOREVER: unknown), why it waits."""

    __slots__ = ("ahead", "note", "start")

    def __init__(self, ahead: int, start: float, note: str) -> None:
        self.ahead = ahead
        self.start = start
        self.note = note


class StoppedWaiting(Exception):
    """The wait ended without a lease: ``signal`` came (0: whoever asked is gone)."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class TooLate(Exception):
    """The devices did not come in time."""


class Waiter:
    """One request on its way to a lease."""

    def __init__(
        self,
        directory: Directory,
        request: Request,
        pipe: SignalPipe,
        tell: Callable[[Position], None],
        prepare: Callable[[Ticket], None],
        probe: Probe | None = None,
        grace: float = 5.0,
        status_fd: int = -1,
    ) -> None:
        """``probe`` asks a device about its health, None for devices that need no asking.

        ``tell`` is called when the wait begins. ``prepare`` is called while we wait, to do what would else be part
        of the hand-over; a child that it makes must close the ticket that it is called with. When the reader of
        ``status_fd`` goes away, so do we.
        """
        self._directory = directory
        self._request = request
        self._pipe = pipe
        self._tell = tell
        self._prepare = prepare
        self._probe = probe
        self._grace = grace
        self._status_fd = status_fd
        self._ticket: Ticket | None = None
        self._number = 0
        self._ahead = 0
        self._sentinel = 0

    def acquire(self, timeout: float) -> Lease:
        """Wait at most ``timeout`` seconds for the lease.

        :raises TooLate: it did not come in time.
        :raises StoppedWaiting: a signal came, or the reader of our status went away.
        """
        deadline = time.monotonic() + timeout
        try:
            while True:
                lease = self._try() or self._wait(deadline)
                if self._is_fit(lease):
                    return lease
        except BaseException:
            self._leave()
            raise
        finally:
            self._stop_sentinel()

    def _try(self) -> Lease | None:
        """Run a pass with ourselves in it; the lease, if it is our turn and the devices are there."""
        with Mutex(self._directory):
            now = time.time()
            queue = waiting(self._directory)
            self._number = self._number or max((number for number, _ in queue), default=0) + 1
            queue = [entry for entry in queue if entry[1].id != self._request.id]
            queue.append((self._number, self._request))
            queue.sort(key=lambda entry: (entry[0], entry[1].id))
            while True:
                look = Pass(self._directory, now, queue, awake=self._request.id)
                try:
                    lease = self._take(look.plan[self._request.id], now)
                    break
                except LockedError as locked:
                    # Each time round one more device is known to be a stranger's.
                    if not self._note(locked.stranger):
                        look.plan[self._request.id].granted_at = lease = None
                        break
            if lease is not None:
                del look.plan[self._request.id]
            elif self._ticket is None or not self._ticket.is_there():
                self._enqueue()
            look.publish()
            self._ahead = [request.id for request in look.queue].index(self._request.id)
            others = len(look.queue) > 1
        look.wake(me=self._request.id)
        if lease is None:
            turn = look.plan[self._request.id]
            self._told = Position(self._ahead, turn.start, self._why(look))
        if others or lease is None:
            ring_sentinel(self._directory)
        return lease

    def _why(self, look: Pass) -> str:
        usable = len(self._request.places) - sum(place.uuid in look.broken for place in self._request.places)
        if usable >= self._request.count:
            return ""
        return f"only {usable} of its {len(self._request.places)} devices are not quarantined (see `trainci gpus`)"

    def _take(self, turn: Turn, now: float) -> Lease | None:
        """Take what we were granted, if we were; then we are out of the queue.

        :raises LockedError: somebody outside of this queue has one of the devices.
        """
        if turn.granted_at is None:
            return None
        mine = tuple(place for place in self._request.places if place.uuid in turn.devices)
        lease = take_lease(self._directory, self._request, mine, now)
        if self._ticket is not None:
            self._ticket.remove()
            self._ticket = None
        return lease

    def _note(self, stranger: str) -> bool:
        """Set down that a stranger holds this device; False when that is no news, or there is no stranger."""
        known = strangers(self._directory)
        if not stranger or stranger in known:
            return False
        note_strangers(self._directory, known | {stranger})
        return True

    def _take_granted(self) -> Lease | None:
        """The short way after being woken: take what the plan says is ours, with no new pass."""
        with Mutex(self._directory):
            turn = read_plan(self._directory).get(self._request.id)
            if turn is None or turn.granted_at is None:
                return None
            try:
                lease = self._take(turn, time.time())
            except LockedError:
                return None
        ring_sentinel(self._directory)
        return lease

    def _enqueue(self) -> None:
        if self._ticket is not None:
            self._ticket.close()
        self._ticket = Ticket(self._directory, self._request, self._number)

    def _wait(self, deadline: float) -> Lease:
        self._tell(self._told)
        while True:
            assert self._ticket is not None
            self._prepare(self._ticket)
            self._keep_sentinel()
            self._sleep(deadline)
            lease = self._take_granted() or self._try()
            if lease is not None:
                return lease
            self._stand_in()
            if time.monotonic() >= deadline:
                raise TooLate

    def _stand_in(self) -> None:
        """Do the sentinel's work, should it be stopped: see to leases that nobody watches over any more."""
        for place in self._request.places:
            record = lease_of(self._directory, place.uuid)
            if record is not None:
                end_survivors(self._directory, record, self._grace)

    def _sleep(self, deadline: float) -> None:
        """Until somebody rings, a signal comes, or it is time to look by ourselves."""
        assert self._ticket is not None
        poller = select.poll()
        poller.register(self._ticket.bell, select.POLLIN)
        poller.register(self._pipe.fd, select.POLLIN)
        if self._status_fd >= 0:
            poller.register(self._status_fd, 0)
        patience = min(_WATCHDOG_S + self._ahead, max(0.0, deadline - time.monotonic()))
        ready = {descriptor for descriptor, _ in poller.poll(int(patience * 1000) + 1)}
        self._ticket.silence()
        self._heed(ready)

    def _pause(self, seconds: float) -> None:
        """Sleep at the gate, awake to signals."""
        poller = select.poll()
        poller.register(self._pipe.fd, select.POLLIN)
        if self._status_fd >= 0:
            poller.register(self._status_fd, 0)
        self._heed({descriptor for descriptor, _ in poller.poll(int(seconds * 1000))})

    def _heed(self, ready: set[int]) -> None:
        if self._status_fd in ready:
            raise StoppedWaiting(0)
        for number in self._pipe.take() - {signal.SIGCHLD, signal.SIGALRM}:
            raise StoppedWaiting(number)

    def _leave(self) -> None:
        if self._ticket is None:
            return
        with Mutex(self._directory):
            self._ticket.remove()
            self._ticket = None
            look = Pass(self._directory, time.time(), waiting(self._directory))
            look.publish()
        look.wake()
        ring_sentinel(self._directory)

    def _is_fit(self, lease: Lease) -> bool:
        """Is everything that the last jobs left behind gone? If not: quarantine, give back, wait again."""
        try:
            uuid, reason = self._unfit(lease)
        except BaseException:
            self._give_back(lease)
            raise
        if reason:
            quarantine(self._directory, uuid, reason, time.time())
            self._give_back(lease)
        lease.probe = self._probe
        return not reason

    def _unfit(self, lease: Lease) -> tuple[str, str]:
        if self._probe is None:
            return "", ""
        with self._probe.session():
            for place in lease.places:
                reason = unfit(self._probe, place.uuid, forgiven(self._directory, place.uuid), self._pause)
                if reason:
                    return place.uuid, reason
        return "", ""

    def _give_back(self, lease: Lease) -> None:
        with Mutex(self._directory):
            lease.drop()

    def _keep_sentinel(self) -> None:
        """See that our candidate for the sentinel's place lives; only one of all candidates watches at a time."""
        try:
            alive = self._sentinel and os.waitpid(self._sentinel, os.WNOHANG) == (0, 0)
        except ChildProcessError:
            alive = False
        if not alive:
            from trainci.lease.queue.watcher import start

            assert self._ticket is not None
            self._sentinel = start(self._directory, [self._ticket, self._pipe], self._status_fd, self._grace)

    def _stop_sentinel(self) -> None:
        if self._sentinel:
            # It is collected with our other children, or by init: there is no time to wait for it now.
            os.kill(self._sentinel, signal.SIGKILL)
            self._sentinel = 0
