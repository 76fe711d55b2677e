"""Pure: an answer as JSON, and the JSON Schema that its type is held to."""

from __future__ import annotations

import json
import math
import types
import typing
from dataclasses import asdict, fields, is_dataclass
from typing import Any, get_args, get_origin

from trainci.answers.values import Answer

# https://json-schema.org/draft/2020-12
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_KINDS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def text_of(answer: Answer) -> str:
    """``answer`` as one JSON text, ASCII whatever bytes its names hold; it ends without a line end."""
    return json.dumps(_body(answer), allow_nan=False, indent=1)


def line_of(answer: Answer) -> str:
    """The same on one line, for commands that answer several times."""
    return json.dumps(_body(answer), allow_nan=False)


def _body(answer: Answer) -> dict[str, Any]:
    return {"schema": answer.SCHEMA, **asdict(answer)}


def number(value: float) -> float | str:
    """``value``, or the word for one that JSON has no number for."""
    return value if math.isfinite(value) else str(value)


def schema_of(answer: type[Answer]) -> dict[str, Any]:
    """The JSON Schema of an answer: every field is there, and others may come without a new version."""
    found: dict[str, Any] = {}
    body = _object(answer, found)
    body["properties"] = {"schema": {"const": answer.SCHEMA}, **body["properties"]}
    body["required"] = ["schema", *body["required"]]
    return {"$schema": _DIALECT, "title": answer.SCHEMA, **body, "$defs": dict(sorted(found.items()))}


def _object(kind: type[Any], found: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    return {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "properties": {name: _schema(hints[name], found) for name in names},
        "required": names,
    }


def _schema(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    if kind in _KINDS:
        return {"type": _KINDS[kind]}
    if isinstance(kind, types.UnionType) or get_origin(kind) is typing.Union:
        return {"anyOf": [_schema(option, found) for option in get_args(kind)]}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema(get_args(kind)[0], found)}
    if get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": _schema(get_args(kind)[1], found)}
    assert isinstance(kind, type) and is_dataclass(kind), kind
    if kind.__name__ not in found:
        found[kind.__name__] = _object(kind, found)
    return {"$ref": f"#/$defs/{kind.__name__}"}
