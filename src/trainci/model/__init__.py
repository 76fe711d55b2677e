"""The nouns of trainci, as frozen values. Durations are seconds, times are Unix timestamps (UTC)."""

from __future__ import annotations

from trainci.model.device import MOST_DEVICES, Device, Pool
from trainci.model.project import (
    Change,
    Declarations,
    Entry,
    Project,
    Refused,
    Selected,
    Selection,
    Settings,
    Step,
    Suite,
    Test,
    Trigger,
    Workflow,
    settings_of,
    settle,
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
    "Phase",
    "Pool",
    "Project",
    "Refused",
    "Result",
    "Run",
    "Selected",
    "Selection",
    "Settings",
    "Step",
    "Suite",
    "Test",
    "Trigger",
    "Verdict",
    "Workflow",
    "settings_of",
    "settle",
]
