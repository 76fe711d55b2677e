"""The one serialised form of events: a line of JSON each, its kind under ``kind``, its fields by their names."""

from __future__ import annotations

import json
from collections.abc import Mapping

from trainci.model import events
from trainci.model.values_json import kind_of, read_value, write_value

KINDS: Mapping[str, type[events.Control]] = {
    "run_started": events.RunStarted,
    "queued": events.Queued,
    "waiting": events.Waiting,
    "granted": events.Granted,
    "started": events.Started,
    "ended": events.Ended,
    "verdict": events.Concluded,
    "interrupted": events.Interrupted,
    "run_ended": events.RunEnded,
}
# A Unix time that every clock and calendar can tell (the year 4147).
_END_OF_TIME = 1 << 36
_NAMES = {kind: name for name, kind in KINDS.items()}


def write_event(event: events.Control) -> str:
    """``event`` as a line, without its end."""
    return write_value(event, kind=_NAMES[type(event)])


def read_event(line: str | bytes) -> events.Control:
    """The event that ``line`` holds.

    :raises ValueError: it holds none, or one of another version of trainci: the text says what is wrong with it.
    """
    try:
        said = json.loads(line)
    except RecursionError:
        raise ValueError("not an event: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not an event: {error}") from None
    if not isinstance(said, dict):
        raise ValueError(f"not an event: {kind_of(said)} instead of an object")
    name = said.pop("kind", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"not an event: the kind {name!a} is unknown")
    try:
        event: events.Control = read_value(kind, said, str(name))
    except ValueError as error:
        raise ValueError(f"not an event: {error}") from None
    if not 0 <= event.at < _END_OF_TIME:
        raise ValueError(f"not an event: {name}.at is no Unix time of now")
    return event
