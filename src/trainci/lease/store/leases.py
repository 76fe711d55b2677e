"""The leases that run, as their records say: the one answer to "who holds what" beside the locks themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from trainci.host.processes import has_open, owner
from trainci.lease.store.directory import Directory
from trainci.lease.store.files import open_regular, read
from trainci.lease.store.locks import is_locked
from trainci.lease.store.records import Record, load_record


@dataclass(frozen=True)
class Running:
    """A lease's record. ``owner`` is whose file it is, whatever it says of itself.

    ``watched``: its wrapper or its supervisor lives; else something of its job may be left. ``moved``: the wrapper
    lives, and has not this file open but that of a directory that was moved away. ``file`` tells it from another at
    its path.
    """

    record: Record
    owner: int
    watched: bool
    moved: bool
    file: tuple[int, int]


def running(directory: Directory) -> Iterator[Running]:
    """Every lease that runs, or whose job may have left something."""
    for id in directory.names("leases"):
        found = find(directory, id)
        if found is not None and found.file not in directory.void:
            yield found


def find(directory: Directory, id: str) -> Running | None:
    """The lease of this id; None where there is no record that is whole."""
    try:
        descriptor = open_regular(directory.join("leases", id))
    except OSError:
        return None
    try:
        record = load_record(read(descriptor))
        if record is None or record.id != id:
            return None
        by, locked = os.fstat(descriptor).st_uid, is_locked(descriptor)
        moved = not locked and owner(record.pid) == by and has_open(record.pid, f"/leases/{id}")
        return Running(record, by, locked or moved, moved, identity(descriptor))
    finally:
        os.close(descriptor)


def identity(descriptor: int) -> tuple[int, int]:
    """What tells an open record from another."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def lease_of(directory: Directory, uuid: str) -> Running | None:
    """The lease that holds a device, or that held it last and of whose job something may be left."""
    found = [lease for lease in running(directory) if uuid in lease.record.devices]
    return max(found, key=lambda lease: lease.watched, default=None)
