"""``record_metric``: numbers that are remembered with the run."""

from __future__ import annotations

import json
import operator
import os
import time
from typing import SupportsFloat, SupportsIndex

from trainci.errors import MachineError, UsageError

FILE_VARIABLE = "TRAINCI_METRICS_FILE"


def record_metric(name: str, value: SupportsFloat, step: SupportsIndex | None = None) -> None:
    """Remember that ``name`` was ``value``, at training step ``step`` if there are steps, in the run's history.

    ``value`` is whatever ``float()`` takes, a tensor of one element too; NaN and infinity are remembered as such.
    Any process of a test may call it, ranks too: they inherit the file that ``TRAINCI_METRICS_FILE`` names, and a
    line in it is there once the call returns, whatever becomes of the process. Outside trainci there is no history,
    and only the arguments are looked at. ``trainci metrics`` shows what is remembered.

    :raises UsageError: an empty or unprintable name, or a value or a step that is no number.
    :raises MachineError: the file cannot be written.
    """
    if not isinstance(name, str) or not name or not name.isprintable():
        raise UsageError(f"record_metric: the name {name!r} cannot be shown on one line")
    try:
        detach = getattr(value, "detach", None)  # torch warns when a tensor that has a gradient becomes a float
        number = float(detach() if detach else value)
        at_step = None if step is None else operator.index(step)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise UsageError(f"record_metric: {name}={value!r} at step {step!r}: {error}") from None
    path = os.environ.get(FILE_VARIABLE)
    if not path:
        return
    line = json.dumps({"name": name, "value": number, "step": at_step, "at": time.time()}) + "\n"
    try:
        # One write to a file that is open for appending: lines of several ranks never mix.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            written = os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise MachineError(f"record_metric: {path}: cannot be written: {error.strerror}") from None
    if written != len(line):
        raise MachineError(f"record_metric: {path}: cannot be written: the disk is full")
