"""The machines that a job asks for, and the devices that their labels speak of."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainci.adopt.expressions import Context, Unknown, evaluate, substitute
from trainci.adopt.placed import Items, Table, Text, Value

_DEVICES = re.compile(r"(?<!\d)(\d{1,2})[-_ ]?gpus?\b|gpus?[-_ ]?(\d{1,2})(?!\d)|x(\d{1,2})$", re.IGNORECASE)


def gpus_of(labels: Sequence[str]) -> int | None:
    """The devices in a label: ``8-gpu-h100``, ``8gpu``, ``L20x8``, ``gpu-4``; None where none says."""
    for label in labels:
        if match := _DEVICES.search(label):
            return int(next(group for group in match.groups() if group))
    return None


def runners(job: Table, context: Context) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels of ``runs-on``, and those of them that only a run knows."""
    value: Value | Unknown = job.get("runs-on", Text("", job.line))
    if isinstance(value, Text) and value.strip().startswith("${{"):
        value = evaluate(value.strip()[3:-2], context)
    if isinstance(value, Unknown):
        return (), (str(job.text("runs-on")),)
    if isinstance(value, Table):  # `group:` and `labels:`
        value = Items([*value.items_of("labels"), *value.items_of("group")], value.line)
    if isinstance(value, Text):
        value = Items([value], value.line)
    known, unknown = [""][:0], [""][:0]
    for label in value:
        if isinstance(label, Text) and label:
            text, open_ = substitute(label, context)
            (unknown if open_ or "$" in text else known).append(str(text))
    return tuple(known), tuple(unknown)
