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
    Settings,
    Step,
    Suite,
    Test,
    Trigger,
    Workflow,
    job_ids,
    settings_of,
    settle,
)
from trainci.model.run import Attempt, Cause, Ending, Item, Metric, Outcome, Phase, Result, Results, Run, Verdict

__all__ = [
    "MOST_DEVICES",
    "Attempt",
    "Cause",
    "Change",
    "Declarations",
    "Device",
    "Ending",
    "Entry",
    "Item",
    "Metric",
    "Outcome",
    "PathRule",
    "Phase",
    "Pool",
    "Project",
    "Refused",
    "Result",
    "Results",
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
    "job_ids",
    "settings_of",
    "settle",
]
