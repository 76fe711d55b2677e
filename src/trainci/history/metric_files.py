"""The file in which ``trainci.testing.record_metric`` leaves what a test measured: one JSON object a line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainci.history.json_lines import objects
from trainci.model.run import Metric

# A longer line is none of ours, and would have to fit into memory.
_LONGEST_LINE = 1 << 16
_LARGEST = 2**63


def read(path: Path) -> Iterator[Metric]:
    """The metrics of a file, none if there is no such file.

    Lines that ``record_metric`` did not write are left out: the last one may be cut off, and a test can write
    there whatever it likes.
    """
    return filter(None, map(_metric, objects(path, _LONGEST_LINE)))


def _metric(said: Mapping[str, Any]) -> Metric | None:
    name, value, step, at = (said.get(key) for key in ("name", "value", "step", "at"))
    if not (isinstance(name, str) and name.isprintable() and name):
        return None
    if not (isinstance(value, float) and isinstance(at, float) and math.isfinite(at)):
        return None
    if step is not None and not (type(step) is int and -_LARGEST <= step < _LARGEST):
        return None
    return Metric(name, value, step, at)
