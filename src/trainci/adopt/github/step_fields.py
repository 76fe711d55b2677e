"""What a step of a GitHub job says of itself: whether it runs, for how long, and its name."""

from __future__ import annotations

import re

from trainci.adopt.github.expressions import Context, Result, bare, evaluate, is_true, substitute
from trainci.adopt.placed import Table, Text


def minutes(text: str) -> float | None:
    """A time limit that is a constant."""
    return float(text) if re.fullmatch(r"\d{1,4}(\.\d+)?", text) and float(text) else None


def condition_of(step: Table, context: Context) -> Result:
    """What its condition comes to; true where it has none."""
    said = bare(step.text("if"))
    return evaluate(said, context) if said else Text("true", 0)


def is_off(step: Table, context: Context) -> bool:
    """Whether the step is for another combination of the matrix, or cleans up after a failure."""
    value = condition_of(step, context)
    return isinstance(value, Text) and not is_true(value) and "github." not in step.text("if")


def name_of(step: Table, context: Context) -> str:
    """What it is called."""
    return str(substitute(step.text("name"), context)[0])
