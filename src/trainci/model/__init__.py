"""The nouns of trainci, as frozen values. Durations are seconds, times are Unix timestamps (UTC)."""

from __future__ import annotations

from trainci.model.device import Device, Pool
from trainci.model.project import (
    Change,
    Declarations,
    Entry,
    Project,
    Refused,
    Selected,
    Selection,
    Suite,
    Test,
    Trigger,
    Workflow,
)
from trainci.model.run import Attempt, Cause, Ending, Metric, Outcome, Phase, Result, Run, Verdict

__all__ = [
    "Attempt",
    "Cause",
    "Change",
    "Declarations",
    "Device",
    "Ending",
    "Entry",
    "Metric",
    "Outcome",
    "Phase",
    "Pool",
    "Project",
    "Refused",
    "Result",
    "Run",
    "Selected",
    "Selection",
    "Suite",
    "Test",
    "Trigger",
    "Verdict",
    "Workflow",
]
