"""What a history remembers and answers. One contract suite holds every store to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from trainci.answers.values import PastResult
from trainci.errors import MachineError
from trainci.model.gates import Decision, Measurement
from trainci.model.run import Ending, Metric, Phase, Verdict
from trainci.verdict.suspects import Used

# What others refer to stands before them.
TABLES = ("runs", "attempts", "verdicts", "metrics", "baselines")


class AttemptKey(NamedTuple):
    """Which attempt of which test in which run."""

    run_id: str
    test_id: str
    number: int


@dataclass(frozen=True)
class Past:
    """What is known of a test: durations in seconds of passed attempts, and what became of it last."""

    last: float | None = None
    median: float | None = None
    outcome: str = ""


@dataclass(frozen=True)
class PastRun:
    """A run as it is listed. ``outcomes`` counts its verdicts; ``ended_at`` is None where it has not ended."""

    id: str
    commit: str
    host: str
    devices: str
    started_at: float
    ended_at: float | None
    exit_code: int | None
    cut_off: bool
    outcomes: Mapping[str, int]


@dataclass(frozen=True)
class CutOff:
    """An attempt that was under way when its runner was killed. ``log`` is relative to the project's root."""

    attempt: AttemptKey
    log: str


@dataclass(frozen=True)
class Recorded:
    """The last that a test recorded of a metric, in which run, and the last value of the run before that."""

    last: Metric
    run_id: str
    before: float | None


class StoreError(MachineError):
    """A store that is open does not answer: ``place`` is where it is, ``reason`` its own words."""

    way_out = "Try again; if it lasts, move it away."

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: the history does not answer: {reason}. {self.way_out}")
        self.place = place
        self.reason = reason


class StoreBusy(StoreError):
    """Another process holds it, longer than was waited."""


class StoreReadOnly(StoreError):
    """It is another user's, who does not share it."""

    way_out = "Give it to this user, share its directory by a group (mode 2775), or name another one as state_dir."


class StoreBroken(StoreError):
    """What is there is no history, or not any more. ``identity`` tells it from what may since be in its place."""

    def __init__(self, place: str, reason: str, identity: tuple[int, int]) -> None:
        super().__init__(place, reason)
        self.identity = identity


class Store(Protocol):
    """The runs, attempts, verdicts and metrics of a repository; times are Unix timestamps (UTC).

    What a write says is there once it returns, whatever becomes of the process; so may be what several processes
    write at once; what is written again is there once. Every method but ``close`` raises StoreError when the store
    does not answer.
    """

    def begin_run(
        self, run_id: str, commit: str, devices: str, at: float, host: str = "", on_base: bool = False
    ) -> None:
        """A run begins, on ``devices`` in words, of ``host`` where that is known; its commit may be on the base."""

    def end_run(self, run_id: str, exit_code: int, at: float) -> None:
        """The run has ended."""

    def begin_attempt(self, attempt: AttemptKey, gpus: int, log: str, at: float, image: str = "") -> None:
        """An attempt of a run that has begun is queued, for a container of ``image`` if it is not empty."""

    def set_devices(self, attempt: AttemptKey, devices: tuple[str, ...], kind: str = "") -> None:
        """The attempt holds these devices, which are called ``kind``."""

    def set_started(self, attempt: AttemptKey, at: float) -> None:
        """What is to count as its duration begins."""

    def end_attempt(
        self, attempt: AttemptKey, phase: Phase, ending: Ending, at: float, against_devices: bool | None = None
    ) -> None:
        """The attempt has ended; ``phase`` is what ran last, ``against_devices`` as ``speaks_against`` says it."""

    def used_devices(self, host: str, count: int) -> list[Used]:
        """The last ``count`` attempts on ``host`` that held devices and say something of them."""

    def used_hosts(self, count: int) -> list[Used]:
        """The last ``count`` attempts that held devices and say something of them, with their host for these."""

    def keep_metrics(self, attempt: AttemptKey, metrics: Iterable[Metric]) -> None:
        """These, in their order, are all that the attempt recorded: what was kept of it before is forgotten."""

    def keep_verdict(self, run_id: str, test_id: str, verdict: Verdict, at: float) -> None:
        """The verdict of a test, which may have no attempt."""

    def past(self, test_ids: Iterable[str]) -> dict[str, Past]:
        """What is known of each of ``test_ids``; tests without a past are left out."""

    def recorded(self, test_id: str) -> list[Recorded]:
        """What the test recorded of each metric, by name."""

    def measurements(self, test_id: str, metric: str, step: int | None, most: int) -> list[Measurement]:
        """What passed attempts recorded of a metric at ``step``, or last where it is None: at most so many, the
        newest first."""

    def keep_decision(self, decision: Decision) -> None:
        """Somebody said so of a baseline."""

    def decisions(self, test_id: str) -> list[Decision]:
        """What was said of the baselines of a test, the newest first."""

    def tests(self) -> list[str]:
        """The ids of all tests that have a verdict, by name."""

    def results(self, test_id: str, most: int) -> list[PastResult]:
        """What became of the test in its last runs, at most so many, the newest first.

        Devices and duration are of the last attempt; commit and host are empty where they are not known.
        """

    def results_of_run(self, run_id: str) -> list[PastResult]:
        """What became of each test in a run, by name."""

    def results_of_runs(self, most: int) -> list[PastResult]:
        """What became of each test in each of the last runs, at most so many runs; the newest result first."""

    def runs(self, most: int, before: float) -> list[PastRun]:
        """The last runs that began before a time, at most so many, the newest first."""

    def run(self, run_id: str) -> PastRun | None:
        """The run of that id, None where it never began here."""

    def unknown_runs(self, run_ids: Iterable[str]) -> list[str]:
        """Those of ``run_ids`` that never began here."""

    def unended_runs(self) -> list[str]:
        """The runs that have not ended, and were not marked."""

    def unended_attempts(self, run_id: str) -> list[CutOff]:
        """The attempts of a run that have not ended, in the order in which they were queued."""

    def mark_cut_off(self, run_id: str) -> None:
        """The run will never end: ``unended_runs`` leaves it out from now on."""

    def rows(self, table: str) -> list[dict[str, object]]:
        """All of a table (one of TABLES), in the order in which it was written."""

    def add_rows(self, table: str, rows: Iterable[dict[str, object]]) -> None:
        """Add rows, by the names of their columns; those that are there stay as they are."""

    def together(self) -> AbstractContextManager[object]:
        """All that is written in the block, or nothing: many writes take less time so."""

    def close(self) -> None:
        """Let go of it."""
