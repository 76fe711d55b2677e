"""The nouns of trainci, as frozen values. Durations are seconds, times are Unix timestamps (UTC)."""

from __future__ import annotations

from trainci.model.device import Device, Pool
from trainci.model.events import Event
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
from trainci.model.run import Attempt, Metric, Outcome, Result, Run, Verdict

__all__ = [
    "Attempt",
    "Change",
    "Declarations",
    "Device",
    "Entry",
    "Event",
    "Metric",
    "Outcome",
    "PathRule",
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
