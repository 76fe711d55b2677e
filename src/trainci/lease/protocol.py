"""What an executor and the lease process that it starts agree on: flags, reports and environment variables.

An executor starts one lease process for each test, and reads what happens from the descriptor that it names with
STATUS_FD: one report a line, as ``dump`` writes and ``load`` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from trainci.model.seen import NOTHING_SEEN, Seen

COUNT = "--count"
DEVICES_ALLOWED = "--devices-allowed"
VIRTUAL = "--virtual"
TIME_LIMIT = "--time-limit"
GRACE = "--grace"
NAME = "--name"
EXPECTED = "--expected"
STATUS_FD = "--status-fd"

# Marks every process of a lease: its id; a lease within a lease adds its own after a "/".
LEASE_VARIABLE = "TRAINCI_LEASE"
DEVICES_VARIABLE = "TRAINCI_DEVICES"
PORT_BASE_VARIABLE = "TRAINCI_PORT_BASE"
PORT_COUNT_VARIABLE = "TRAINCI_PORT_COUNT"
# When its time limit is over, in seconds of the monotonic clock.
DEADLINE_VARIABLE = "TRAINCI_DEADLINE"
LOCK_DIR_VARIABLE = "TRAINCI_LOCK_DIR"


def outer_lease(environment: Mapping[str, str]) -> tuple[str, frozenset[str]] | None:
    """The id of the lease that this process runs inside, and its devices; None outside of any."""
    id = environment.get(LEASE_VARIABLE, "").rpartition("/")[2]
    if not (id.isascii() and id.isalnum()):
        return None
    return id, frozenset(environment.get(DEVICES_VARIABLE, "").split(",")) - {""}


@dataclass(frozen=True)
class Waiting:
    """The devices are not free; ``ahead`` requests came before this one.

    ``why`` says who has them; it is told again when that changes.
    """

    ahead: int
    why: str = ""


@dataclass(frozen=True)
class Granted:
    """The lease holds devices (their ids, and their indices) and a block of ports that begins at ``port_base``."""

    devices: tuple[str, ...]
    indices: tuple[int, ...]
    port_base: int


@dataclass(frozen=True)
class Started:
    """The command runs, as process ``pid``."""

    pid: int


@dataclass(frozen=True)
class Ended:
    """The command and all that it started have ended: with exit ``code``, or by ``signal`` (one of them is None).

    ``time_limit``: it was ended for that; ``ordered``: it was to end before it did. Sentences, or empty: ``lost``
    when the machine is at fault, ``complaint`` when the command could not be started. ``seen`` is what was seen of
    the devices and the host meanwhile.
    """

    code: int | None = None
    signal: int | None = None
    time_limit: bool = False
    ordered: bool = False
    lost: str = ""
    complaint: str = ""
    seen: Seen = NOTHING_SEEN


Report = Waiting | Granted | Started | Ended

# What each calls itself in its line.
_KINDS: dict[str, Callable[..., Report]] = {
    kind.__name__.lower(): kind for kind in (Waiting, Granted, Started, Ended)
}


def dump(report: Report) -> bytes:
    """The line of a report: one JSON object, its kind under ``event``."""
    said = {**vars(report), "seen": vars(report.seen)} if isinstance(report, Ended) else vars(report)
    return json.dumps({"event": type(report).__name__.lower(), **said}).encode() + b"\n"


def load(line: bytes) -> Report:
    """The report that a line holds.

    :raises ValueError: it holds none.
    """
    said = json.loads(line)
    try:
        wanted = _KINDS[said.pop("event")]
        return wanted(**{name: _value(value) for name, value in said.items()})
    except (AttributeError, KeyError, TypeError):
        raise ValueError(f"not a report of a lease: {line!r}") from None


def _value(value: object) -> object:
    if isinstance(value, dict):
        values: dict[str, Any] = {field.name: _value(value[field.name]) for field in fields(Seen)}
        return Seen(**values)
    return tuple(value) if isinstance(value, list) else value
