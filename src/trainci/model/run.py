"""What became of tests. Durations are seconds, times are Unix timestamps (UTC)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from trainci.model.project import Test


class Outcome(enum.Enum):
    """What became of a test. The value is the word that history, reports and the console use."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    REFUSED = "refused"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    MACHINE = "machine's fault"


@dataclass(frozen=True)
class Attempt:
    """One ended try of a test.

    ``exit_code`` is the process's own (negative: the signal that ended it; None: it never started).
    ``lost`` says what the machine did wrong; ``timed_out``: the time limit ended it; ``interrupted``: the
    user did; ``in_prepare``: it got no further than its prepare phase. ``log`` is a path relative to the
    project's root, ``devices`` are ids of Devices.
    """

    test: Test
    number: int
    queued_at: float
    started_at: float | None
    ended_at: float
    exit_code: int | None
    log: str
    devices: tuple[str, ...] = ()
    timed_out: bool = False
    interrupted: bool = False
    lost: str = ""
    in_prepare: bool = False

    @property
    def duration(self) -> float:
        """Seconds from the process's start to its end, a prepare phase not counted; 0 when it never started."""
        return 0.0 if self.started_at is None else self.ended_at - self.started_at


@dataclass(frozen=True)
class Verdict:
    """What the attempts of a test mean, and one sentence that says why."""

    outcome: Outcome
    sentence: str


@dataclass(frozen=True)
class Result:
    """A test's verdict with the attempts that it rests on (none when it was refused or skipped)."""

    test_id: str
    verdict: Verdict
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Run:
    """A finished run.

    ``devices`` says in words what it ran on; ``replay`` maps a test's id to the command that runs it alone.
    """

    id: str
    commit: str
    started_at: float
    ended_at: float
    results: tuple[Result, ...]
    devices: str
    exit_code: int
    replay: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """A number that a test recorded, at a training step if it has steps. ``value`` may be NaN or infinite."""

    name: str
    value: float
    step: int | None
    at: float
