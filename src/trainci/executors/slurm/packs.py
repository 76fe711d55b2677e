"""Allocations that the tests of a suite share (``pack``): how large each is, and how tests end with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from trainci.executors.attempt import SUFFIX
from trainci.executors.base import Job, ending_of_stopped
from trainci.executors.isolated import isolated_main
from trainci.model.run import Cause, Ending
from trainci.model.tests import Test

# Besides the time limits of its tests: an agent's start, and the end of each.
_SLACK_S = 120.0


def is_packed(test: Test) -> bool:
    """Whether it shares an allocation. One of several nodes has its own."""
    return bool(test.pack) and test.num_nodes == 1


def shared(pack: str, tests: Iterable[Test], node_size: int, runs: Path, number: int) -> Job:
    """The job whose allocation the tests of suite ``pack`` among ``tests`` share, the ``number``-th of the run.

    It has as many devices as they want together, at most those of a node. Its time limit is theirs spread evenly
    over these, at least the longest: what does not fit any more is for another allocation.
    """
    inside = [test for test in tests if is_packed(test) and test.pack == pack]
    gpus = min(node_size, sum(test.num_gpus for test in inside))
    spread = sum(test.timeout * test.num_gpus for test in inside) / max(1, gpus)
    log = runs / f"{_beginning(pack)}{number}.log"
    command = (*isolated_main("trainci.executors.agent"), str(log.with_suffix(SUFFIX)))
    timeout = max([spread, *(test.timeout for test in inside)]) + _SLACK_S
    return Job(Test(f"pack-{pack}", command=command, num_gpus=gpus, timeout=timeout, pack=pack), number, log)


def number_of(folder: str) -> int:
    """The number of the allocation whose job has this folder."""
    return int(folder.removesuffix(SUFFIX).rpartition("-")[2])


def next_number(pack: str, runs: Path) -> int:
    """That of an allocation which this run has not had."""
    return 1 + len(list(runs.glob(f"{_beginning(pack)}*.log")))


def _beginning(pack: str) -> str:
    return f"pack-{re.sub('[^A-Za-z0-9._-]+', '-', pack)}-"


def ending_within(shared: Ending, reported: Ending | None, *, stopped: bool, ordered: bool) -> Ending:
    """How a test has ended that had begun in an allocation which ended as ``shared``; for the rest see ``ending``.

    The end of the allocation is none of the test's, whoever ended it: not its time limit, and not its exit code.
    """
    if stopped:
        return ending_of_stopped(reported)
    by_itself = shared.cause in (Cause.EXITED, Cause.SIGNALLED, Cause.TIMED_OUT)
    if reported is not None and (
        reported.cause is Cause.TIMED_OUT
        or shared.cause is Cause.EXITED
        or (not ordered and (reported.passed or by_itself))
    ):
        return reported
    cause = Cause.LOST if by_itself else shared.cause
    detail = shared.detail or f"the allocation that it shared ended before it ({shared.cause.value})"
    return replace(reported or Ending(cause), cause=cause, detail=detail)
