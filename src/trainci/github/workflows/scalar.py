"""Pure: values as YAML that reads back as exactly that value, on one line, whatever a string holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def scalar(value: object) -> str:
    """``value`` in YAML's flow style, strings double-quoted (https://yaml.org/spec/1.2.2/#731-double-quoted-style).

    :raises TypeError: a value that is no string, number, truth value, list or mapping of these.
    """
    if isinstance(value, str):
        return '"' + "".join(_character(character) for character in value) + '"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + ", ".join(scalar(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} has no form in YAML")


def _character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
