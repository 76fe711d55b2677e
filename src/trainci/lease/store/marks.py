"""The marks on devices that are not handed out: quarantined ones and drained ones.

A mark is a file for each of them, so it outlives every process; ``trainci gpus`` sets and clears them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from trainci.lease.store.directory import Directory
from trainci.lease.store.files import read_text
from trainci.lease.store.records import BROKEN, moment
from trainci.text import printable


@dataclass(frozen=True)
class Mark:
    """Why a device is not handed out, and since when (Unix time), until somebody has ``released`` it.

    ``by`` is the name of who said so, empty where trainci found it.
    """

    reason: str
    since: float
    released: bool = False
    by: str = ""


# The folders of the two kinds of mark: it is broken; somebody wants it left alone once its holder is done.
_QUARANTINED, _DRAINED = "health", "drained"


def quarantine(directory: Directory, uuid: str, reason: str, now: float, by: str = "") -> None:
    """Keep a device from being handed out, because it is broken."""
    _write(directory, _QUARANTINED, uuid, Mark(reason, now, by=by))


def drain(directory: Directory, uuid: str, reason: str, now: float, by: str) -> None:
    """Keep a device from being handed out, because ``by`` wants so; its holder keeps it."""
    _write(directory, _DRAINED, uuid, Mark(reason, now, by=by))


def quarantined(directory: Directory) -> dict[str, Mark]:
    """The quarantined devices, by id."""
    return _marked(directory, _QUARANTINED)


def drained(directory: Directory) -> dict[str, Mark]:
    """The drained devices, by id."""
    return _marked(directory, _DRAINED)


def withheld(directory: Directory) -> dict[str, str]:
    """The devices that are not handed out, each with the reason in words."""
    ill = {uuid: f"quarantined: {mark.reason}" for uuid, mark in quarantined(directory).items()}
    left = {uuid: f"drained by {mark.by}" for uuid, mark in drained(directory).items()}
    return {**left, **ill}


def known_since(directory: Directory) -> dict[str, float]:
    """Since when somebody has known of what is wrong with a device, or was (Unix times, by id)."""
    marks = {uuid: _mark(directory, _QUARANTINED, uuid) for uuid in directory.names(_QUARANTINED)}
    return {uuid: mark.since for uuid, mark in marks.items() if mark is not None}


def release(directory: Directory, uuid: str) -> bool:
    """Clear a quarantine; False when there was none.

    The reason stays on record: a count of errors goes back to 0 only with the driver, and a device that somebody
    has released is not taken away again for those that he knew of.
    """
    return _clear(directory, _QUARANTINED, uuid)


def undrain(directory: Directory, uuid: str) -> bool:
    """Hand a drained device out again; False when it was none."""
    return _clear(directory, _DRAINED, uuid)


def _marked(directory: Directory, folder: str) -> dict[str, Mark]:
    marks = {uuid: _mark(directory, folder, uuid) for uuid in directory.names(folder)}
    return {uuid: mark for uuid, mark in marks.items() if mark is not None and not mark.released}


def _clear(directory: Directory, folder: str, uuid: str) -> bool:
    """Not by removing the file, which is perhaps another user's."""
    mark = _marked(directory, folder).get(uuid)
    if mark is not None:
        _write(directory, folder, uuid, replace(mark, released=True))
    return mark is not None


def forgiven(directory: Directory, uuid: str) -> str:
    """The fault for which the device was quarantined before it was released; empty for none."""
    mark = _mark(directory, _QUARANTINED, uuid)
    return mark.reason if mark is not None and mark.released else ""


def _write(directory: Directory, folder: str, uuid: str, mark: Mark) -> None:
    directory.write(directory.join(folder, uuid), json.dumps(asdict(mark)))


def _mark(directory: Directory, folder: str, uuid: str) -> Mark | None:
    """What a file says of a device; None for nothing, or what is not whole."""
    try:
        fields = json.loads(read_text(directory.join(folder, uuid)) or "")
        by = printable(fields.get("by", ""))
        return Mark(printable(fields["reason"]), moment(fields["since"]), fields["released"] is True, by)
    except BROKEN:
        return None
