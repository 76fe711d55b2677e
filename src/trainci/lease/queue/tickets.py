"""Tickets: one file for each waiting request, kept locked by its owner, and a named pipe that wakes that owner."""

from __future__ import annotations

import os
from dataclasses import dataclass

from trainci.lease.store.directory import Directory
from trainci.lease.store.files import open_pipe, read_text, remove
from trainci.lease.store.locks import is_current, is_held, try_lock
from trainci.lease.store.records import Request, load_request

_DIGITS = 9
LAST_NUMBER = 10**_DIGITS - 1


@dataclass(frozen=True)
class Arrival:
    """A request in the queue; ``number`` counts arrivals, up to LAST_NUMBER."""

    number: int
    request: Request

    @property
    def ticket(self) -> str:
        """The name of its ticket's file: names sort by arrival."""
        return f"{self.number:0{_DIGITS}d}-{self.request.id}"


class Ticket:
    """A place in the queue, alive as long as the process that opened it. ``bell`` can be polled: it is our turn."""

    def __init__(self, directory: Directory, arrival: Arrival) -> None:
        self._directory = directory
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
        elif not is_held(path):
            remove(path)
            remove(f"{path}.fifo")
        else:
            alive += _arrivals(name, read_text(path))
    return tuple(alive)


def look(directory: Directory) -> tuple[Arrival, ...]:
    """Those who wait, for somebody who takes no part in the queue: nothing is removed."""
    found = []
    for name in directory.names("tickets"):
        path = directory.join("tickets", name)
        if not name.endswith(".fifo") and is_held(path):
            found += _arrivals(name, read_text(path))
    return tuple(found)


def _arrivals(name: str, text: str | None) -> list[Arrival]:
    """The one that a ticket holds, none where it is unfinished or not whole."""
    number, _, id = name.partition("-")
    request = load_request(text)
    whole = len(number) == _DIGITS and number.isascii() and number.isdecimal()
    return [Arrival(int(number), request)] if whole and request is not None and request.id == id else []


def ring(path: str) -> None:
    """Wake whoever listens at this named pipe, if anybody does."""
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
