"""The machines that a job asks for, and the devices that their labels speak of."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainci.adopt.github.expressions import Context, Unknown, evaluate, substitute
from trainci.adopt.placed import Items, Table, Text, Value

_COUNT = "(?:1[0-6]|[1-9])"
_DEVICES = re.compile(
    # linux-amd64-gpu-l4-latest-1: amd64, X64 and x86_64 are no numbers of devices, and no machine has more than 16.
    rf"gpu-\w+-latest-({_COUNT})$|(?<![a-wyz\d])({_COUNT})[-_ ]?(?:gpu|npu|tpu)s?\b"
    rf"|(?:gpu|npu)s?[-_ ]?({_COUNT})(?!\d)|x({_COUNT})$"
    # 4xa6000; a 12xlarge has no number behind its letters.
    rf"|(?<![a-z\d.])({_COUNT})x[a-z]{{1,3}}\d{{2,4}}"
    # After the kind of device: l20-8, h100-4, mi350.1, 910b-8, a2-8 (of Ascend).
    r"|(?<![a-z\d])(?:[abhlv]\d{2,3}|a[23]|gb\d{3}|mi\d{3}[a-z]?|gfx\d{3,4}|910[a-c])[-._](1|2|4|8|16)$",
    re.IGNORECASE,
)
# Devices of a machine of Amazon's, where it is not one: https://aws.amazon.com/ec2/instance-types/
_INSTANCE = re.compile(r"\b(g4dn|g5|g6e?|gr6|p3(?:dn)?|p4de?|p5e?n?)[.-](\d{0,2}xlarge|metal)\b")
_MANY = {
    **dict.fromkeys(("g4dn.12xlarge", "g5.12xlarge", "g5.24xlarge", "g6.12xlarge", "g6.24xlarge"), 4),
    **dict.fromkeys(("g6e.12xlarge", "g6e.24xlarge", "p3.8xlarge"), 4),
    **dict.fromkeys(
        ("g4dn.metal", "g5.48xlarge", "g6.48xlarge", "g6e.48xlarge", "p3.16xlarge", "p3dn.24xlarge"), 8
    ),
    **dict.fromkeys(("p4d.24xlarge", "p4de.24xlarge", "p5.48xlarge", "p5e.48xlarge", "p5en.48xlarge"), 8),
}


def gpus_of(labels: Sequence[str]) -> int | None:
    """The devices in a label: ``8-gpu-h100``, ``L20x8``, ``h100-4``, ``linux.g5.12xlarge``; None for none."""
    for label in labels:
        if instance := _INSTANCE.search(label):
            return _MANY.get(".".join(instance.groups()), 1)
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
    known: list[str] = []
    unknown: list[str] = []
    for label in value:
        if isinstance(label, Text) and label:
            text, open_ = substitute(label, context)
            (unknown if open_ or "$" in text else known).append(str(text))
    return tuple(known), tuple(unknown)
