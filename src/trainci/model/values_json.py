"""Frozen values as JSON: a dataclass is an object of its fields, an enum its value, a tuple a list."""

from __future__ import annotations

import enum
import json
import math
import types
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

# What databases and files hold: 64 bits.
_BEYOND = 1 << 63


def write_value(value: Any, **beside: str) -> str:
    """A dataclass as one line of ASCII, whatever bytes a file name holds; ``beside`` goes before its fields."""
    return json.dumps({**beside, **asdict(value)}, default=_word, allow_nan=False)


def _word(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    raise TypeError(f"no field may be a {type(value).__name__}")


def read_value(wanted: Any, said: object, place: str) -> Any:
    """``said``, which was parsed, as a value of type ``wanted``; ``place`` is where it stands.

    :raises ValueError: it is none; the text begins with the place of what is wrong.
    """
    if isinstance(wanted, types.UnionType):
        (option,) = (option for option in get_args(wanted) if option is not types.NoneType)
        return None if said is None else read_value(option, said, place)
    if get_origin(wanted) is tuple and isinstance(said, list):
        item = get_args(wanted)[0]
        return tuple(read_value(item, value, f"{place}.{number}") for number, value in enumerate(said))
    if isinstance(wanted, type) and is_dataclass(wanted) and isinstance(said, dict):
        return _read_fields(wanted, said, place)
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum) and isinstance(said, str):
        try:
            return wanted(said)
        except ValueError:
            raise ValueError(f"{place} is {said!a}, which is unknown") from None
    fits = _is_finite(said) if wanted is float else type(said) is wanted
    if not fits:
        raise ValueError(f"{place} is {kind_of(said)}")
    if isinstance(said, int) and abs(said) >= _BEYOND:
        raise ValueError(f"{place} is a number that nothing can store")
    if isinstance(said, str) and not _is_text(said):
        raise ValueError(f"{place} is no text")
    return said


def _is_finite(said: object) -> bool:
    return isinstance(said, int | float) and not isinstance(said, bool) and -math.inf < said < math.inf


def _is_text(said: str) -> bool:
    """Whether it can be written; half a character of UTF-16 only where it stands for a byte of a file's name."""
    try:
        said.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _read_fields(wanted: Any, said: dict[str, object], place: str) -> Any:
    hints, optional = _fields_of(wanted)
    if wrong := sorted((hints.keys() ^ said.keys()) - optional | said.keys() - hints.keys()):
        missing = "missing" if wrong[0] in hints else "unknown"
        raise ValueError(f"{f'{place}.{wrong[0]}'!a} is {missing}")
    return wanted(
        **{name: read_value(hint, said[name], f"{place}.{name}") for name, hint in hints.items() if name in said}
    )


@cache
def _fields_of(wanted: type[Any]) -> tuple[dict[str, Any], set[str]]:
    """The type of each field, and the fields with a default: they came later, an older file does not have them."""
    return get_type_hints(wanted), {field.name for field in fields(wanted) if field.default is not MISSING}


def kind_of(value: object) -> str:
    """What JSON calls it."""
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
