"""Pure: facts as somebody writes them in JSON, the fields of Facts by their names; what is left out is unknown."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from trainci.model.diagnosis import Facts

_NAMES = {field.name: str(field.type) for field in fields(Facts)}


def facts_of(document: object) -> Facts:
    """The facts that a parsed JSON document says.

    :raises ValueError: it says something else. The text is a sentence without an end.
    """
    if not isinstance(document, Mapping):
        raise ValueError('facts are an object, such as {"exit_code": 1, "timed_out": false}')
    values: dict[str, Any] = {name: _value(name, value) for name, value in document.items() if value is not None}
    return Facts(**values)


def _value(name: str, value: object) -> object:
    kind = _NAMES.get(name)
    if kind is None:
        raise ValueError(f"{name!a} is no fact; known are {', '.join(_NAMES)}")
    if kind.startswith("bool"):
        if isinstance(value, bool):
            return value
        raise ValueError(f"{name} is true or false")
    if name == "xid":
        return _numbers(value)
    if name == "signal" and isinstance(value, str):
        return _signal(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 31:
        return value
    raise ValueError(f"{name} is a whole number")


def _numbers(value: object) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    if all(isinstance(number, int) and not isinstance(number, bool) for number in values):
        return tuple(values)
    raise ValueError("xid is a number, or a list of numbers")


def _signal(word: str) -> int:
    try:
        return int(signal.Signals["SIG" + word.upper().removeprefix("SIG")])
    except KeyError:
        raise ValueError(f"{word!a} is no signal; write 9 or SIGKILL") from None
