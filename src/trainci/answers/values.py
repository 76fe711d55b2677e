"""Pure: the answers of commands; their fields are those of their JSON. Durations are seconds, times Unix (UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

Number = float | str
"""A number; what JSON has no number for is ``"nan"``, ``"inf"`` or ``"-inf"``."""


@dataclass(frozen=True)
class Answer:
    """Not an answer of its own: what a command says. ``SCHEMA`` names its form and the version of that."""

    SCHEMA: ClassVar[str]


@dataclass(frozen=True)
class ListedTest:
    """A registered test. ``last`` and ``median`` are durations of passed attempts, null while there is none."""

    id: str
    file: str
    num_gpus: int
    requires_gpu: bool
    timeout: float
    disabled: str
    registered_at: str
    last: float | None
    median: float | None
    outcome: str


@dataclass(frozen=True)
class ListedSuite:
    """A suite, or tests of no suite, whose ``label`` is empty. ``starts`` says in words what starts it.

    ``changed``: its tests are those that differ from the base. ``refused`` says what of it cannot be run, and why.
    """

    name: str
    label: str
    starts: str
    description: str
    always: bool
    changed: bool
    tests: tuple[ListedTest, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Listed(Answer):
    """``trainci list``."""

    SCHEMA = "trainci/list/1"
    suites: tuple[ListedSuite, ...]


@dataclass(frozen=True)
class DryTest:
    """A test that would run: why, on how many devices, by which command; ``held_back`` says why not here.

    ``submission`` is what a cluster would be given, empty for this host.
    """

    id: str
    reason: str
    num_gpus: int
    timeout: float
    command: str
    submission: str
    held_back: str


@dataclass(frozen=True)
class RefusedTest:
    """A selected entry that cannot be run, and why."""

    id: str
    sentence: str


@dataclass(frozen=True)
class DryRun(Answer):
    """``trainci run --dry-run``. ``note`` explains an empty selection."""

    SCHEMA = "trainci/dry-run/1"
    tests: tuple[DryTest, ...]
    refused: tuple[RefusedTest, ...]
    note: str


@dataclass(frozen=True)
class SuiteDecision:
    """Whether an event starts a suite, and why."""

    suite: str
    starts: bool
    reason: str


@dataclass(frozen=True)
class ChangedTest:
    """A test that a change reaches, and how."""

    id: str
    reason: str


@dataclass(frozen=True)
class Planned(Answer):
    """``trainci plan``: with ``--event`` its suites, with ``--changed`` the tests that a change reaches."""

    SCHEMA = "trainci/plan/1"
    suites: tuple[SuiteDecision, ...]
    tests: tuple[ChangedTest, ...]
    refused: tuple[RefusedTest, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """Something that is wrong, or worth a note, and where."""

    code: str
    file: str
    line: int
    sentence: str


@dataclass(frozen=True)
class Checked(Answer):
    """``trainci check``: ``notes`` fail nothing."""

    SCHEMA = "trainci/check/1"
    findings: tuple[Found, ...]
    notes: tuple[Found, ...]
    files: int
    suites: int


@dataclass(frozen=True)
class MetricOfTest:
    """The last that a test recorded of a metric, in which run; ``before`` is that of the run before."""

    name: str
    value: Number
    step: int | None
    at: float
    run: str
    before: Number | None


@dataclass(frozen=True)
class MetricsOfTest:
    """The metrics of one test."""

    id: str
    metrics: tuple[MetricOfTest, ...]


@dataclass(frozen=True)
class Metrics(Answer):
    """``trainci metrics``."""

    SCHEMA = "trainci/metrics/1"
    tests: tuple[MetricsOfTest, ...]


@dataclass(frozen=True)
class PastResult:
    """What became of a test in one run. ``duration`` is null where nothing was started."""

    id: str
    run: str
    commit: str
    host: str
    at: float
    outcome: str
    sentence: str
    attempts: int
    devices: tuple[str, ...]
    duration: float | None


@dataclass(frozen=True)
class TestSummary:
    """The past of a test: ``flaky`` is the share of its runs that passed only after a failure, or in doubt."""

    id: str
    runs: int
    passed: int
    flaky: float
    median: float | None
    last: str


@dataclass(frozen=True)
class History(Answer):
    """``trainci history``: every test in a line, or every run of the tests that were named, newest first."""

    SCHEMA = "trainci/history/1"
    tests: tuple[TestSummary, ...]
    results: tuple[PastResult, ...]


@dataclass(frozen=True)
class Place:
    """A place in the repository."""

    file: str
    line: int


@dataclass(frozen=True)
class Why:
    """Whose fault a failure was, by which rule; ``log_line`` is 0 where no line of the log says it."""

    blame: str
    rule: str
    sentence: str
    evidence: str
    log_line: int
    place: Place | None


@dataclass(frozen=True)
class RunItem:
    """One test of a file, or one step of a test."""

    name: str
    outcome: str
    duration: float
    message: str


@dataclass(frozen=True)
class RunAttempt:
    """One try of a test. ``log`` is relative to the project's root; ``started_at`` is null if nothing started."""

    number: int
    queued_at: float
    started_at: float | None
    ended_at: float
    duration: float
    devices: tuple[str, ...]
    cause: str
    exit_code: int | None
    signal: int | None
    detail: str
    log: str
    items: tuple[RunItem, ...]


@dataclass(frozen=True)
class RunTest:
    """A test of a run: ``reason`` is the first line to read of one that did not pass."""

    id: str
    outcome: str
    sentence: str
    reason: str
    why: Why | None
    attempts: tuple[RunAttempt, ...]
    replay: str


@dataclass(frozen=True)
class FinishedRun(Answer):
    """``trainci run``, once it has ended. ``counts`` has the number of tests of each outcome."""

    SCHEMA = "trainci/run/1"
    id: str
    commit: str
    started_at: float
    ended_at: float
    devices: str
    exit_code: int
    counts: dict[str, int]
    tests: tuple[RunTest, ...]


@dataclass(frozen=True)
class Explained(Answer):
    """``trainci explain``, one a log. ``line`` is 0 where no line decided, ``blame`` null where it passed."""

    SCHEMA = "trainci/explain/1"
    log: str
    outcome: str
    blame: str | None
    rule: str
    sentence: str
    evidence: str
    line: int
