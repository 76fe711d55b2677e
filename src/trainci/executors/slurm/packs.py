"""Allocations that the tests of a suite share (``pack``): how large each is, and how tests end with it."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from trainci.executors.base import Job, ending_of_stopped
from trainci.executors.isolated import isolated_main
from trainci.executors.job_files import SUFFIX
from trainci.model.run import Cause, Ending
from trainci.model.tests import Test

# On top of the time limits of its tests: an agent's start, and the end of each.
_SLACK_S = 120.0


def shares_with(test: Test, other: Test) -> bool:
    """Whether both share an allocation: it has as many nodes as each of them wants, so that none idles."""
    return bool(test.pack) and (test.pack, test.num_nodes) == (other.pack, other.num_nodes)


def shared(one: Test, tests: Iterable[Test], node_size: int, runs: Path, number: int) -> Job:
    """The job whose allocation ``one`` shares with others of ``tests``, the ``number``-th such job of the run.

    It has as many devices as they want together, at most those of a node. Its time limit is theirs spread evenly
    over these, at least the longest: what does not fit any more is for another allocation. Tests of several nodes
    have all of its devices one after another (``devices_within``).
    """
    inside = [test for test in tests if shares_with(test, one)]
    alone = one.num_nodes > 1
    wanted = [test.num_gpus for test in inside]
    gpus = max(wanted, default=0) if alone else min(node_size, sum(wanted))
    held = sum(test.timeout * (gpus if alone else test.num_gpus) for test in inside)
    log = runs / f"{_beginning(one.pack)}{number}.log"
    command = (*isolated_main("trainci.executors.agent"), str(log.with_suffix(SUFFIX)))
    timeout = max([held / max(1, gpus), *(test.timeout for test in inside)]) + _SLACK_S
    test = Test(
        f"pack-{one.pack}",
        command=command,
        num_gpus=gpus,
        num_nodes=one.num_nodes,
        timeout=timeout,
        pack=one.pack,
    )
    return Job(test, number, log)


def devices_within(job: Job, allocation: Job) -> int:
    """How many devices of each node a job has to itself inside an allocation.

    All, if it has several nodes: a lease is of one node, and nobody would keep two tests apart on the others.
    """
    return allocation.num_gpus if job.num_nodes > 1 and job.num_gpus else job.num_gpus


def number_of(folder: str) -> int:
    """The number of the allocation whose job has this folder."""
    return int(folder.removesuffix(SUFFIX).rpartition("-")[2])


def next_number(pack: str, runs: Path) -> int:
    """That of an allocation which this run has not had."""
    return 1 + len(list(runs.glob(f"{_beginning(pack)}*.log")))


def may_be_from_outside(ending: Ending) -> bool:
    """Whether a signal ended it by which an allocation's end begins, or a shell says that one did."""
    number = ending.signal or (ending.exit_code or 0) - 128
    return number in (signal.SIGTERM, signal.SIGKILL)


def _beginning(pack: str) -> str:
    return f"pack-{re.sub('[^A-Za-z0-9._-]+', '-', pack)}-"


def ending_within(shared: Ending, reported: Ending | None, *, stopped: bool, ordered: bool) -> Ending:
    """How a test has ended that had begun in an allocation which ended as ``shared``; for the rest see ``ending``.

    The end of the allocation is none of the test's, whoever ended it: not its time limit, and not its exit code.
    """
    if stopped:
        return ending_of_stopped(reported)
    by_itself = shared.cause in (Cause.EXITED, Cause.SIGNALLED, Cause.TIMED_OUT, Cause.OUT_OF_TIME)
    if reported is not None and (
        reported.cause is Cause.TIMED_OUT
        or shared.cause is Cause.EXITED
        or (not ordered and (reported.passed or (by_itself and not may_be_from_outside(reported))))
    ):
        return reported
    cause = Cause.LOST if by_itself else shared.cause
    detail = shared.detail or f"the allocation that it shared ended before it ({shared.cause.value})"
    return replace(reported or Ending(cause), cause=cause, detail=detail)
