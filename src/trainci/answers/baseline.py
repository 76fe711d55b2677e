"""Pure: what ``trainci baseline`` answers. Times are Unix (UTC)."""

from __future__ import annotations

from dataclasses import dataclass

from trainci.answers.values import Answer


@dataclass(frozen=True)
class BaselineBand:
    """From where to where a value is expected."""

    low: float
    high: float


@dataclass(frozen=True)
class BaselinePoint:
    """A value of a metric in a run. ``trusted``: the bands rest on it, among others."""

    run: str
    commit: str
    at: float
    value: float
    trusted: bool


@dataclass(frozen=True)
class BaselineSeries:
    """The values of a metric over runs, the newest first, on one kind of device in one image.

    ``gated``: the test says that they decide. ``step`` is null for the last that a run recorded. ``band`` holds
    95 % of values like the trusted ones, ``wide`` 99 %; both are null while there are too few.
    """

    metric: str
    step: int | None
    kind: str
    image: str
    gated: bool
    trusted: int
    band: BaselineBand | None
    wide: BaselineBand | None
    points: tuple[BaselinePoint, ...]


@dataclass(frozen=True)
class BaselineDecision:
    """Who accepted the value of a run, or (``run`` is empty) reset a baseline, when and why."""

    metric: str
    run: str
    who: str
    reason: str
    at: float


@dataclass(frozen=True)
class BaselinesOfTest:
    """The series of one test, and what was decided about them, the newest first."""

    id: str
    series: tuple[BaselineSeries, ...]
    decisions: tuple[BaselineDecision, ...]


@dataclass(frozen=True)
class Baselines(Answer):
    """``trainci baseline``: of tests with gated metrics, or of those that were named with all they recorded."""

    SCHEMA = "trainci/baseline/1"
    tests: tuple[BaselinesOfTest, ...]
