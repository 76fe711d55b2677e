"""What became of tests. Durations are seconds, times are Unix timestamps (UTC)."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from trainci.model.diagnosis import EXIT_CODE, Diagnosis
from trainci.model.gates import Judgement, Measured
from trainci.model.seen import NOTHING_SEEN, Seen
from trainci.model.tests import Test


class Outcome(enum.Enum):
    """What became of a test. The value is the word that history, reports and the console use."""

    PASSED = "passed"
    FLAKY = "flaky"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    HUNG = "hung"
    REFUSED = "refused"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    MACHINE = "machine's fault"
    UNSURE = "unsure"


NOT_REACHED = ("not started: --fail-fast", "interrupted before it was started")
"""What verdicts say of a skipped test whose turn did not come: it tells nothing of the test."""


class Phase(enum.Enum):
    """How much of a test a process runs."""

    BOTH = "both"
    PREPARE = "prepare"
    EXECUTE = "execute"


class Cause(enum.Enum):
    """Why a process ended. The value is the word that the history and the event log use."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed out"
    HUNG = "hung"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    NEVER_STARTED = "never started"
    PREEMPTED = "preempted"
    REQUEUED = "queued again"
    NODE_FAILED = "node failed"
    CANCELLED = "cancelled"
    OUT_OF_MEMORY = "out of memory"
    OUT_OF_TIME = "out of time"


@dataclass(frozen=True)
class Ending:
    """How a process ended: its own ``exit_code``, or the ``signal`` that ended it; both None where it has neither.

    ``detail`` says what the machine did wrong, what the kernel says of it, or who hung and where, in a sentence
    without an end. ``seen`` is what its lease saw meanwhile, which does not make it another ending.
    """

    cause: Cause
    exit_code: int | None = None
    signal: int | None = None
    detail: str = ""
    seen: Seen = field(default=NOTHING_SEEN, compare=False)

    @property
    def passed(self) -> bool:
        """It ended by itself, with exit code 0."""
        return self.cause is Cause.EXITED and self.exit_code == 0


@dataclass(frozen=True)
class Item:
    """One test of a file, or one step of a test.

    ``name`` is its class and name as pytest writes them, ``outcome`` is passed, failed, error or skipped,
    ``seconds`` how long it took with its fixtures, ``message`` why it did not pass.
    """

    name: str
    outcome: str
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class Results:
    """What an attempt left that tells its parts apart: ``items``, or in ``fault`` why they cannot be read."""

    items: tuple[Item, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class Failure:
    """What failed in an attempt that exited with 0, in a sentence without an end; ``certain``: none expects it."""

    sentence: str
    certain: bool = True


@dataclass(frozen=True)
class Attempt:
    """One ended try of a test.

    ``phase`` is what ran last: with PREPARE it got no further than its prepare phase. ``started_at`` is when the
    process that holds its devices began, None if it never did. ``log`` is a path relative to the project's root,
    ``devices`` are ids of Devices, ``kind`` what those are called, ``image`` is the container's. ``results`` is
    None for a test that leaves none, ``measured`` what it recorded of gated metrics, ``failures`` what failed
    in it though it exited with 0. ``diagnosis`` is what its log
    and its ending say of whose fault it was.
    """

    test: Test
    number: int
    queued_at: float
    started_at: float | None
    ended_at: float
    ending: Ending
    log: str
    devices: tuple[str, ...] = ()
    phase: Phase = Phase.BOTH
    results: Results | None = None
    diagnosis: Diagnosis | None = None
    measured: tuple[Measured, ...] = ()
    failures: tuple[Failure, ...] = ()
    kind: str = ""
    image: str = ""

    @property
    def duration(self) -> float:
        """Seconds from the process's start to its end, a prepare phase not counted; 0 when it never started."""
        return 0.0 if self.started_at is None else self.ended_at - self.started_at


# Who hung, and where, tells more than what was printed before; so does what became of a test when tried again.
_SENTENCE_FIRST = (Outcome.HUNG, Outcome.FLAKY)
# What is drawn around a line of pytest's.
_RULER = re.compile(r"(\S+ )?([!+=])\2{4,} (?P<said>.+?) \2{5,}$")


@dataclass(frozen=True)
class Verdict:
    """What the attempts of a test mean, and one sentence that says why; ``diagnosis`` is that of the last one.

    ``excused`` says why it fails no run although it is red, and is empty where it does. ``judgements`` are of the
    metrics that their history gates.
    """

    outcome: Outcome
    sentence: str
    diagnosis: Diagnosis | None = None
    excused: str = ""
    judgements: tuple[Judgement, ...] = ()

    @property
    def reason(self) -> str:
        """Why, in the first line to read: the exception's own, or another of the log; else the sentence."""
        told = self.diagnosis
        if told is None or not (told.line and told.evidence) or self.outcome in _SENTENCE_FIRST:
            return self.sentence
        ruled = _RULER.match(told.evidence)
        evidence = ruled["said"] if ruled else told.evidence
        return f"{self.sentence}, after: {evidence}" if told.rule == EXIT_CODE else evidence


@dataclass(frozen=True)
class Result:
    """A test's verdict with the attempts that it rests on (none when it was refused or skipped)."""

    test_id: str
    verdict: Verdict
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Run:
    """A finished run.

    ``devices`` says in words what it ran on; ``replay`` maps a test's id to the command that runs it alone,
    ``files`` to its file, relative to the project's root, where it has one.
    """

    id: str
    commit: str
    started_at: float
    ended_at: float
    results: tuple[Result, ...]
    devices: str
    exit_code: int
    replay: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """A number that a test recorded, at a training step if it has steps. ``value`` may be NaN or infinite."""

    name: str
    value: float
    step: int | None
    at: float
