"""Which devices an inherited ``CUDA_VISIBLE_DEVICES`` leaves: the one reader of it. Pure.

The rules are those of the CUDA Programming Guide ("CUDA Environment Variables") and of NVIDIA's MIG User Guide
("CUDA Device Enumeration"). What these leave open was asked of a driver (580.159, two H100s,
``cuDeviceGetCount``); see the cases in tests/host/test_visible.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from trainci.errors import UsageError

# The driver reads a number as strtol(3) does: blanks and a sign before it, anything at all behind it.
_NUMBER = r"[ \t\n\v\f\r]*([+-]?)0*([0-9]{1,18})(?![0-9])"
_WRAPS_AT = 1 << 32
_UUID_DIGITS = 32


# HIP obeys the variable of CUDA, too, and what ROCR hides it does not count (ROCm, "GPU isolation techniques").
_SIBLINGS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def refuse_contradiction(variable: str, environment: Mapping[str, str]) -> None:
    """See that no other device variable says something else than ``variable``.

    :raises UsageError: one does; a job would see other devices than it was given.
    """
    for other in _SIBLINGS:
        if variable not in _SIBLINGS or other == variable or other not in environment:
            continue
        if variable not in environment:
            raise UsageError(
                f"{other}={environment[other]!a} is set and {variable} is not: set both alike, or unset it."
            )
        if _entries(environment[other]) != _entries(environment[variable]):
            raise UsageError(
                f"{variable}={environment[variable]!a} and {other}={environment[other]!a} contradict each other: "
                "unset one of them."
            )


def _entries(value: str) -> list[str]:
    return [entry.strip() for entry in value.split(",")]


def with_devices(variable: str, value: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with this value of ``variable``, and with no other device variable that contradicts it."""
    if variable not in _SIBLINGS:
        return {**environment, variable: value}
    found = {**environment, **{other: value for other in _SIBLINGS if other in environment}, variable: value}
    # What is behind ROCR's filter has other numbers: with it none of the others is needed, without it it is not.
    dropped = _SIBLINGS[:2] if variable == "ROCR_VISIBLE_DEVICES" else _SIBLINGS[2:]
    return {name: text for name, text in found.items() if name not in dropped or not value}


# What Slurm gave to a step, else to the job (sbatch(1), OUTPUT ENVIRONMENT VARIABLES): numbers of devices.
_ALLOCATED = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")


def inherited(variable: str, environment: Mapping[str, str]) -> str | None:
    """What is inherited of the devices: the value of ``variable``, else what an engine gave; None for all.

    Where both are set the numbers of ``variable`` are those that this job sees, and the engine's those of the host.
    """
    found = (environment[name] for name in (variable, *_ALLOCATED) if name in environment)
    return next(found, None)


class Listed(Protocol):
    """A device as it stands in the list that CUDA counts: its position there, and ``GPU-…`` or ``MIG-…``."""

    @property
    def index(self) -> int: ...
    @property
    def uuid(self) -> str: ...


D = TypeVar("D", bound=Listed)


def visible(devices: Iterable[D], value: str | None, variable: str) -> tuple[D, ...]:
    """The devices that ``value`` of the environment variable ``variable`` leaves, in its order; all for None.

    Entries are indices, or UUIDs and unique beginnings of them. The first entry says which of both: one of the
    other kind, and any that names no device or several, ends the list. None is left when a device is named twice:
    CUDA does not start then.

    :raises UsageError: a MIG instance by its old name, which no list of devices tells.
    """
    listed = tuple(devices)
    if value is None:
        return listed
    entries = value.split(",")
    by_number = re.match(_NUMBER, entries[0]) is not None
    left: list[D] = []
    for entry in entries:
        hits = _numbered(listed, entry) if by_number else _called(listed, entry, variable)
        if len(hits) != 1:
            break
        left += hits
    twice = len({device.uuid for device in left}) < len(left)
    return () if twice else tuple(left)


def _numbered(devices: tuple[D, ...], entry: str) -> list[D]:
    match = re.match(_NUMBER, entry)
    if match is None:
        return []
    index = int("".join(match.groups())) % _WRAPS_AT
    return [device for device in devices if device.index == index]


def _called(devices: tuple[D, ...], entry: str, variable: str) -> list[D]:
    if entry.startswith("MIG-GPU-"):
        raise UsageError(
            f"{variable} names {entry!a} in the way of drivers before R470: write its UUID, as `nvidia-smi -L` "
            "shows it."
        )
    kind, digits = entry[:4], _digits(entry)
    if kind not in ("GPU-", "MIG-") or not digits:
        return []
    return [device for device in devices if device.uuid[:4] == kind and _digits(device.uuid).startswith(digits)]


def _digits(uuid: str) -> str:
    return uuid[4:].replace("-", "").lower()[:_UUID_DIGITS]
