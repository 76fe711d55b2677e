"""The nouns of trainci, as frozen values. Durations are seconds, times are Unix timestamps (UTC)."""

from __future__ import annotations

from trainci.model.device import Device, Pool
from trainci.model.diagnosis import Blame, Diagnosis, Facts, Kind, LogRule
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
    Verdicts,
    Workflow,
)
from trainci.model.run import Attempt, Cause, Ending, Metric, Outcome, Phase, Result, Run, Verdict

__all__ = [
    "Attempt",
    "Blame",
    "Cause",
    "Change",
    "Declarations",
    "Device",
    "Diagnosis",
    "Ending",
    "Entry",
    "Facts",
    "Kind",
    "LogRule",
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
    "Verdicts",
    "Workflow",
]
