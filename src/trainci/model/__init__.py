"""The nouns of trainci, as frozen values. Durations are seconds, times are Unix timestamps (UTC)."""

from __future__ import annotations

from trainci.model.device import MOST_DEVICES, Device, Pool
from trainci.model.project import (
    Change,
    Declarations,
    Entry,
    PathRule,
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
    "MOST_DEVICES",
    "Attempt",
    "Cause",
    "Change",
    "Declarations",
    "Device",
    "Ending",
    "Entry",
    "Metric",
    "Outcome",
    "PathRule",
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
