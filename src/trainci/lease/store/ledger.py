"""Who did what to the queue by hand: one JSON object a line, in the file ``ledger`` of the lock directory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from trainci.host.users import user_name
from trainci.lease.store.directory import ALL, Directory
from trainci.lease.store.files import open_regular
from trainci.lease.store.records import BROKEN, moment
from trainci.text import printable

# What is read back of it: the last entries.
_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class Entry:
    """At ``at`` (Unix time) ``by`` did ``action`` to ``what`` (a device, a request), perhaps for a ``reason``."""

    at: float
    by: str
    action: str
    what: str
    reason: str = ""


def note(directory: Directory, entry: Entry) -> None:
    """Add an entry.

    :raises OSError: it cannot be written.
    """
    path = directory.join("ledger")
    descriptor = directory.open_shared(path, os.O_WRONLY | os.O_APPEND, ALL)
    try:
        os.write(descriptor, json.dumps(asdict(entry)).encode() + b"\n")
    finally:
        os.close(descriptor)


def entries(directory: Directory) -> list[Entry]:
    """The last entries, in their order; lines that are none are left out."""
    try:
        descriptor = open_regular(directory.join("ledger"))
    except OSError:
        return []
    try:
        size = os.fstat(descriptor).st_size
        data = os.pread(descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    finally:
        os.close(descriptor)
    return [entry for line in data.decode("utf-8", "replace").splitlines() for entry in _entry(line)]


def cancelled_by(directory: Directory, request: str) -> str:
    """Who cancelled a request, and why; empty where it was not cancelled."""
    found = [entry for entry in entries(directory) if entry.action == "cancel" and entry.what == request]
    return f"{found[-1].by}{f': {found[-1].reason}' if found[-1].reason else ''}" if found else ""


def _entry(line: str) -> list[Entry]:
    try:
        said = json.loads(line)
        words = (printable(said[name]) for name in ("by", "action", "what", "reason"))
        return [Entry(moment(said["at"]), *words)]
    except BROKEN:
        return []


def whoever_acts(environment: Mapping[str, str]) -> str:
    """The name of the user, and behind root that of who became root."""
    name = user_name(os.getuid())
    behind = environment.get("SUDO_USER", "")
    return printable(f"{behind} as {name}" if behind and os.getuid() == 0 else name)
