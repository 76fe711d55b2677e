"""Devices that somebody uses outside the queue: busy, and not broken.

Whoever was granted such a device and found it in use notes it. The note holds for a few seconds: then the next in
turn looks again, so that it clears by itself.
"""

from __future__ import annotations

import json

from trainci.lease.store.directory import Directory
from trainci.lease.store.files import read_text
from trainci.lease.store.records import BROKEN, moment
from trainci.text import printable

LOOK_AGAIN_S = 5.0


def note(directory: Directory, uuid: str, reason: str, now: float) -> None:
    """Write down that a device is in use, in words. The caller holds the mutex.

    :raises OSError: it cannot be written.
    """
    _write(directory, {**_notes(directory), uuid: (now, reason)})


def clear(directory: Directory, uuid: str) -> None:
    """It was found free. The caller holds the mutex.

    :raises OSError: it cannot be written.
    """
    notes = _notes(directory)
    if notes.pop(uuid, None) is not None:
        _write(directory, notes)


def in_use(directory: Directory, now: float) -> dict[str, str]:
    """The devices that were found in use a moment ago, and how."""
    return {uuid: reason for uuid, (at, reason) in _notes(directory).items() if 0 <= now - at < LOOK_AGAIN_S}


def was_in_use(directory: Directory, uuid: str) -> bool:
    """Whether the device was in use when somebody looked last."""
    return uuid in _notes(directory)


def _write(directory: Directory, notes: dict[str, tuple[float, str]]) -> None:
    directory.write(_path(directory), json.dumps(notes))


def _notes(directory: Directory) -> dict[str, tuple[float, str]]:
    try:
        said = json.loads(read_text(_path(directory)) or "")
        return {uuid: (moment(at), printable(reason)) for uuid, (at, reason) in said.items()}
    except BROKEN:
        return {}


def _path(directory: Directory) -> str:
    return directory.join("queue", "outside")
