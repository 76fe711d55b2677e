"""The one serialised form of events: a line of JSON each, its kind under ``kind``, its fields by their names."""

from __future__ import annotations

import enum
import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from trainci.model import events

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
_NAMES = {kind: name for name, kind in KINDS.items()}


def write_event(event: events.Control) -> str:
    """``event`` as a line, without its end."""
    # Whatever bytes a file name holds: the line is ASCII.
    return json.dumps({"kind": _NAMES[type(event)], **asdict(event)}, default=_word, allow_nan=False)


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
        raise ValueError(f"not an event: {_kind_of(said)} instead of an object")
    name = said.pop("kind", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"not an event: the kind {name!a} is unknown")
    event: events.Control = _read(kind, said, str(name))
    return event


def _word(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    raise TypeError(f"no field of an event may be a {type(value).__name__}")


def _read(wanted: Any, said: object, place: str) -> Any:
    """``said`` as a value of type ``wanted``; ``place`` is where it stands in the line."""
    if isinstance(wanted, types.UnionType):
        (option,) = (option for option in get_args(wanted) if option is not types.NoneType)
        return None if said is None else _read(option, said, place)
    if get_origin(wanted) is tuple and isinstance(said, list):
        item = get_args(wanted)[0]
        return tuple(_read(item, value, f"{place}.{number}") for number, value in enumerate(said))
    if isinstance(wanted, type) and is_dataclass(wanted) and isinstance(said, dict):
        return _read_fields(wanted, said, place)
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum) and isinstance(said, str):
        try:
            return wanted(said)
        except ValueError:
            raise ValueError(f"not an event: {place} is {said!a}, which is unknown") from None
    fits = _is_finite(said) if wanted is float else type(said) is wanted
    if not fits:
        raise ValueError(f"not an event: {place} is {_kind_of(said)}")
    return said


def _is_finite(said: object) -> bool:
    return isinstance(said, int | float) and not isinstance(said, bool) and -math.inf < said < math.inf


def _read_fields(wanted: type[Any], said: dict[str, object], place: str) -> Any:
    hints = get_type_hints(wanted)
    # What has a default came later than the rest: an older log does not have it.
    optional = {field.name for field in fields(wanted) if field.default is not MISSING}
    if wrong := sorted((hints.keys() ^ said.keys()) - optional | said.keys() - hints.keys()):
        missing = "missing" if wrong[0] in hints else "unknown"
        raise ValueError(f"not an event: {f'{place}.{wrong[0]}'!a} is {missing}")
    return wanted(
        **{name: _read(hint, said[name], f"{place}.{name}") for name, hint in hints.items() if name in said}
    )


def _kind_of(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
