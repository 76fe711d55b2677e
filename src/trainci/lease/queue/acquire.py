"""Getting a lease: arriving, waiting for our turn, taking the devices, and seeing that they are fit."""

from __future__ import annotations

import contextlib
import select
import signal
import time
from collections.abc import Callable

from trainci.errors import MachineError
from trainci.host import cgroup
from trainci.host.processes import SignalPipe, own_memory, poll_timeout
from trainci.lease.queue.cycle import (
    Decision,
    publish,
    read_reservations,
    reservation_of,
    ring_watcher,
    run_cycle,
    wake,
)
from trainci.lease.queue.hold import Lease, LockedError, acquire, end_survivors
from trainci.lease.queue.tickets import LAST_NUMBER, Arrival, Ticket, in_order, waiting
from trainci.lease.queue.watcher import Candidate
from trainci.lease.queue.why import why
from trainci.lease.store.directory import Directory
from trainci.lease.store.leases import lease_of, running
from trainci.lease.store.mutex import Mutex
from trainci.lease.store.records import FOREVER, Request, Reservation

# A waiter looks by itself only this late (and one second later for each that is ahead), in case that the one who
# should have woken it is stopped or frozen.
_WATCHDOG_S = 1.0
# Who leaves is in a hurry: with the mutex he only spares the others a wait.
_LEAVES_WITHIN_S = 2.0

# Told when the wait begins, and when what we wait for changes: what we can count on, how many are ahead, and for
# whom we wait (``why``).
Tell = Callable[[Reservation, int, str], None]
# Does the lease pass (see ``gate``)? Between two looks the second is called with seconds.
Gate = Callable[[Lease, Callable[[float], None], Callable[[], Mutex]], bool]


class StoppedWaiting(Exception):
    """The wait ended without a lease: ``signal`` came (0: the one who asked is gone)."""

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
        tell: Tell,
        prepare: Callable[[Ticket], bool],
        gate: Gate | None = None,
        grace: float = 5.0,
        status_fd: int = -1,
    ) -> None:
        """``gate`` is None for devices that need no asking.

        ``prepare`` is called while we wait, to do what would else be part of the hand-over, and says whether it has
        forked; a child must close the ticket that it is called with. When the reader of ``status_fd`` goes away, so
        do we.
        """
        self._directory = directory
        self._request = request
        self._pipe = pipe
        self._tell = tell
        self._prepare = prepare
        self._gate = gate
        self._grace = grace
        self._status_fd = status_fd
        self._ticket: Ticket | None = None
        self._number = 0
        self._ahead = 0
        self._reservation = Reservation()
        self._why = ""
        self._told: str | None = None
        self._watcher = Candidate(directory, pipe, status_fd, grace)
        self._group = ""
        self._deadline = FOREVER

    def acquire(self, timeout: float) -> Lease:
        """Wait at most ``timeout`` seconds for the lease.

        :raises TooLate: it did not come in time.
        :raises StoppedWaiting: a signal came, or the reader of our status went away.
        """
        self._deadline = time.monotonic() + timeout
        self._group = cgroup.path_for(self._request.id)
        try:
            while True:
                lease = self._try() or self._wait()
                if self._is_fit(lease):
                    return lease
        except BaseException:
            self.end_watcher()
            with contextlib.suppress(OSError, MachineError):
                self._leave()
            raise

    def _try(self) -> Lease | None:
        """Run a cycle with ourselves in the queue; the lease, if it is our turn and the devices are there."""
        with self._mutex():
            decision, lease = self._decide_and_take(self._queue_with_us())
            if lease is None:
                self._be_in_queue()
            publish(self._directory, decision)
        wake(self._directory, decision, me=self._request.id)
        if lease is None:
            self._remember(decision)
        if lease is None or len(decision.queue) > 1:
            ring_watcher(self._directory)
        return lease

    def _queue_with_us(self) -> list[Arrival]:
        """Those who wait, and we at our place among them; a new arrival's is the last."""
        others = [arrival for arrival in waiting(self._directory) if arrival.request.id != self._request.id]
        self._number = self._number or min(LAST_NUMBER, max((arrival.number for arrival in others), default=0) + 1)
        ours = Arrival(self._number, self._request) if self._ticket is None else self._ticket.arrival()
        return list(in_order([*others, ours]))

    def _decide_and_take(self, queue: list[Arrival]) -> tuple[Decision, Lease | None]:
        """A cycle, and the lease if it grants us devices that we can take.

        Devices that turn out to be a foreign holder's are decided about again, each time with one more known.
        """
        id = self._request.id
        foreign: frozenset[str] = frozenset()
        while True:
            now = time.time()
            decision = run_cycle(self._directory, now, queue, awake=id, found_foreign=foreign)
            try:
                lease = self._take(decision.reservations[id], now)
            except LockedError as locked:
                if not locked.foreign or locked.foreign in foreign | decision.foreign:
                    return decision.with_refused(id), None
                foreign |= {locked.foreign}
            else:
                return (decision if lease is None else decision.with_taken(id)), lease

    def _take(self, reservation: Reservation, now: float) -> Lease | None:
        """Take what we were granted, if we were; then we are out of the queue.

        :raises LockedError: somebody outside of this queue has one of the devices.
        """
        if reservation.granted_at is None:
            return None
        granted = tuple(device for device in self._request.devices if device.uuid in reservation.devices)
        lease = acquire(self._directory, self._request, granted, now, self._group)
        if self._ticket is not None:
            self._ticket.remove()
            self._ticket = None
        return lease

    def _take_granted(self) -> Lease | None:
        """The short way after being woken: take what is reserved for us and granted, with no new cycle."""
        with self._mutex():
            reservation = reservation_of(self._request, read_reservations(self._directory))
            try:
                lease = self._take(reservation, time.time())
            except LockedError:
                return None
        if lease is not None:
            ring_watcher(self._directory)
        return lease

    def _be_in_queue(self) -> None:
        """See that our ticket is in its place: it may have been swept while we were stopped."""
        if self._ticket is not None and self._ticket.is_there():
            return
        if self._ticket is not None:
            self._ticket.close()
        self._ticket = Ticket(self._directory, Arrival(self._number, self._request))

    def _remember(self, decision: Decision) -> None:
        """What the person who waits is told."""
        self._reservation = decision.reservations[self._request.id]
        self._ahead = [arrival.request.id for arrival in decision.queue].index(self._request.id)
        self._why = why(
            self._request,
            self._reservation,
            self._ahead,
            [lease.record for lease in running(self._directory)],
            decision.foreign,
            decision.unusable,
        )

    def _say_why(self) -> None:
        """Tell for whom we wait, where that is not what we told last."""
        if self._why != self._told:
            self._told = self._why
            self._tell(self._reservation, self._ahead, self._why)

    def _mutex(self) -> Mutex:
        """One in whose wait we react to signals, and to the time."""

        def meanwhile() -> None:
            self._answer({descriptor for descriptor, _ in self._poller().poll(0)})
            if time.monotonic() >= self._deadline:
                raise TooLate

        return Mutex(self._directory, meanwhile)

    def _wait(self) -> Lease:
        while True:
            assert self._ticket is not None
            self._say_why()
            self._get_ready(self._ticket)
            self._sleep()
            lease = self._take_granted() or self._try()
            if lease is not None:
                return lease
            self._stand_in()
            if time.monotonic() >= self._deadline:
                raise TooLate

    def _get_ready(self, ticket: Ticket) -> None:
        """Do whatever else would be part of the hand-over."""
        self._group = cgroup.path_for(self._request.id)
        if self._prepare(ticket) | self._watcher.keep(ticket):
            own_memory()

    def _stand_in(self) -> None:
        """Do the watcher's work, should it be stopped: see to leases that no process watches over."""
        for device in self._request.devices:
            lease = lease_of(self._directory, device.uuid)
            if lease is not None and not lease.watched:
                end_survivors(self._directory, lease.record.id, self._grace)

    def _sleep(self) -> None:
        """Until somebody rings, a signal comes, or it is time to look by ourselves."""
        assert self._ticket is not None
        patience = min(_WATCHDOG_S + self._ahead, max(0.0, self._deadline - time.monotonic()))
        poller = self._poller()
        poller.register(self._ticket.bell, select.POLLIN)
        ready = {descriptor for descriptor, _ in poller.poll(poll_timeout(patience))}
        self._ticket.silence()
        self._answer(ready)

    def _pause(self, seconds: float) -> None:
        """Sleep at the health check, until a signal comes."""
        self._answer({descriptor for descriptor, _ in self._poller().poll(int(seconds * 1000))})

    def _poller(self) -> select.poll:
        """One that hears of signals, and of the end of whoever reads our status."""
        poller = select.poll()
        poller.register(self._pipe.fd, select.POLLIN)
        if self._status_fd >= 0:
            poller.register(self._status_fd, 0)
        return poller

    def _answer(self, ready: set[int]) -> None:
        if self._status_fd in ready:
            raise StoppedWaiting(0)
        for number in self._pipe.take() - {signal.SIGCHLD, signal.SIGALRM}:
            raise StoppedWaiting(number)

    def _leave(self) -> None:
        """Out of the queue, with no lease."""
        if self._ticket is None:
            return
        self._ticket.remove()
        self._ticket = None
        with Mutex(self._directory, within=_LEAVES_WITHIN_S):
            decision = run_cycle(self._directory, time.time(), waiting(self._directory))
            publish(self._directory, decision)
        wake(self._directory, decision)
        ring_watcher(self._directory)

    def _is_fit(self, lease: Lease) -> bool:
        """Has the lease passed the gate? If not, it is given back."""
        return self._gate is None or self._gate(lease, self._pause, self._mutex)

    def end_watcher(self) -> None:
        """End the watcher that a wait has left: best once the command runs, for to end takes the CPU a while."""
        self._watcher.end()
