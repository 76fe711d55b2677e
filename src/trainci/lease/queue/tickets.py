"""Tickets: one file for each waiting request, kept locked by its owner, and a named pipe that wakes that owner.

Any user who takes part in the queue may write anything into a ticket of his. Whose it is, and since when it can be
there at the earliest, the file system says (``_proved``).
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from trainci.lease.store.directory import Directory
from trainci.lease.store.files import open_pipe, open_regular, read, remove
from trainci.lease.store.locks import is_current, is_locked, try_lock
from trainci.lease.store.records import FOREVER, Request, load_request

_DIGITS = 9
LAST_NUMBER = 10**_DIGITS - 1


@dataclass(frozen=True)
class Arrival:
    """A request in the queue; ``number`` counts arrivals, up to LAST_NUMBER.

    ``made`` is the time of its ticket's file (st_ctime), which no user can put back; FOREVER while there is none.
    """

    number: int
    request: Request
    made: float = FOREVER

    @property
    def ticket(self) -> str:
        """The name of its ticket's file: names sort by arrival."""
        return f"{self.number:0{_DIGITS}d}-{self.request.id}"


class Ticket:
    """A place in the queue, alive as long as the process that opened it. ``bell`` can be polled: it is our turn."""

    def __init__(self, directory: Directory, arrival: Arrival) -> None:
        self._directory = directory
        self._arrival = arrival
        self._name = arrival.ticket
        self.path = directory.join("tickets", self._name)
        self.bell = self.descriptor = -1
        while not self._make(arrival.request):
            self.close()

    def _make(self, request: Request) -> bool:
        """False where a cycle swept the half-made files: we were so slow that we had lost the mutex."""
        self._directory.make_pipe(f"{self.path}.fifo")
        unfinished = self._directory.join("tickets", f".{self._name}")
        try:
            # Opened for both, so that it never reads as closed when the last of those who ring has gone.
            self.bell = open_pipe(f"{self.path}.fifo", os.O_RDWR)
            self.descriptor = self._directory.create(unfinished, request.dump())
            try_lock(self.descriptor)
            os.rename(unfinished, self.path)
        except FileNotFoundError:
            return False
        return is_current(self.bell, f"{self.path}.fifo")

    def is_there(self) -> bool:
        """Is it still in the queue? It is not if somebody removed it while we were stopped half way here."""
        return is_current(self.descriptor, self.path)

    def arrival(self) -> Arrival:
        """Our place in the queue, as others see it."""
        return _proved(self._directory, self._arrival, os.fstat(self.descriptor))

    def silence(self) -> None:
        """Forget the rings so far."""
        try:
            os.read(self.bell, 4096)
        except BlockingIOError:
            return

    def remove(self) -> None:
        """Leave the queue."""
        remove(self.path)
        remove(f"{self.path}.fifo")
        self.close()

    def close(self) -> None:
        """Close the descriptors only: in a child that is not the owner."""
        for descriptor in (self.descriptor, self.bell):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self.bell = -1


def waiting(directory: Directory) -> tuple[Arrival, ...]:
    """Those who wait, in order of arrival. Removes what the dead have left behind."""
    names = directory.names("tickets")
    alive = []
    for name in names:
        path = directory.join("tickets", name)
        if name.endswith(".fifo"):
            if name.removesuffix(".fifo") not in names:
                remove(path)
            continue
        found = _held(directory, name)
        if found is None:
            remove(path)
            remove(f"{path}.fifo")
        else:
            alive += found
    return in_order(alive)


def look(directory: Directory) -> tuple[Arrival, ...]:
    """Those who wait, for somebody who takes no part in the queue: nothing is removed."""
    names = [name for name in directory.names("tickets") if not name.endswith(".fifo")]
    return in_order(arrival for name in names for arrival in _held(directory, name) or ())


def in_order(arrivals: Iterable[Arrival]) -> tuple[Arrival, ...]:
    """By arrival: those of one user as they are numbered, and those of two as old as their files are.

    A forged number does not bring its user before another who was there already; and the clock, which may be set
    back, matters only between users.
    """
    by_user: dict[int, list[Arrival]] = {}
    for arrival in sorted(arrivals, key=lambda arrival: arrival.ticket):
        by_user.setdefault(arrival.request.uid, []).append(arrival)
    return tuple(heapq.merge(*by_user.values(), key=lambda arrival: (arrival.made, arrival.ticket)))


def _held(directory: Directory, name: str) -> list[Arrival] | None:
    """The one that a ticket holds (none where it is unfinished or not whole); None where its owner is dead."""
    try:
        descriptor = open_regular(directory.join("tickets", name))
    except FileNotFoundError:
        return None
    except OSError:
        return []
    try:
        if not is_locked(descriptor):
            return None
        number, _, id = name.partition("-")
        request = load_request(read(descriptor))
        whole = len(number) == _DIGITS and number.isascii() and number.isdecimal()
        if not whole or request is None or request.id != id:
            return []
        return [_proved(directory, Arrival(int(number), request), os.fstat(descriptor))]
    finally:
        os.close(descriptor)


def _proved(directory: Directory, arrival: Arrival, ticket: os.stat_result) -> Arrival:
    """What a request says of itself, as far as the file of its ticket bears it out."""
    request, made = arrival.request, ticket.st_ctime
    priority = request.priority
    if priority == "high":
        # What few requests need, no other waits for.
        from trainci.lease.store.settings import may_be_urgent

        priority = "high" if may_be_urgent(directory, ticket.st_uid) else "normal"
    proved = replace(request, uid=ticket.st_uid, since=max(request.since, made), priority=priority)
    return Arrival(arrival.number, proved, made)


def ring(path: str) -> None:
    """Wake the process that listens at this named pipe, if one does."""
    try:
        descriptor = open_pipe(path, os.O_WRONLY)
    except OSError:
        return
    try:
        os.write(descriptor, b"!")
    except (BlockingIOError, BrokenPipeError):
        pass
    finally:
        os.close(descriptor)
