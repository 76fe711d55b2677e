"""Adds to ``[check] accept`` of a trainci.toml, as text: what is written there stays, comments included."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainci.config.tables import CONFIG_FILE
from trainci.errors import UsageError
from trainci.findings import Finding
from trainci.host import files
from trainci.toml_lines import toml_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_REASON = "was there when check became a gate"


def accept(root: Path, found: Sequence[Finding]) -> int:
    """Write each kind of ``found`` into ``root/trainci.toml``; how many lines that took.

    :raises UsageError: it cannot be written.
    """
    wanted = list(dict.fromkeys((one.code, one.subject) for one in found))
    path = root / CONFIG_FILE
    try:
        source = path.read_bytes().decode()
        files.replace(path, with_accepted(source, wanted).encode())
    except OSError as error:
        raise UsageError(f"{CONFIG_FILE} cannot be written: {error.strerror}.") from None
    return len(wanted)


def with_accepted(source: str, wanted: Sequence[tuple[str, str]]) -> str:
    """``source``, a valid trainci.toml, with a line for each code and path of ``wanted``.

    :raises UsageError: its table has a form that nothing can be added to.
    """
    if not wanted:
        return source
    lines = "".join(
        f"  {{ code = {_text(code)}, path = {_text(path)}, reason = {_text(_REASON)} }},\n" for code, path in wanted
    )
    table = _document(source).get("check")
    if table is None:
        end = "\n" if source and not source.endswith("\n") else ""
        made = f"{source}{end}\n[check]\naccept = [\n{lines}]\n"
    elif "accept" not in table:
        header = re.compile(r"^\[check\][^\n]*\n?", re.MULTILINE)
        made = header.sub(lambda found: f"{found[0].rstrip()}\naccept = [\n{lines}]\n", source, count=1)
    else:
        made = _inserted(source, lines)
    try:
        known = {(one["code"], one["path"]) for one in _document(made)["check"]["accept"]}
    except (ValueError, LookupError, TypeError):
        known = set()
    if not known.issuperset(wanted):
        raise UsageError(f"{CONFIG_FILE}: nothing can be added there. Write `accept = []` below `[check]` first.")
    return made


def _inserted(source: str, lines: str) -> str:
    """``source`` with ``lines`` at the beginning of the array that is there."""
    at = toml_lines(source.removeprefix("\ufeff"))["check", "accept"]
    written = source.split("\n")
    opened = re.compile(r"^([^=#]*=\s*\[)[ \t]*")
    written[at - 1] = opened.sub(lambda found: f"{found[1]}\n{lines}", written[at - 1], count=1)
    return "\n".join(written)


def _document(source: str) -> dict[str, Any]:
    return tomllib.loads(source.removeprefix("\ufeff"))


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
