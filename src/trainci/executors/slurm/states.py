"""Pure: what Slurm's word for the state of a job, and the lease's for the end of its command, mean together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from trainci.executors.base import ending_of_stopped
from trainci.executors.slurm.commands import Seen
from trainci.model.run import Cause, Ending

# squeue(1), JOB STATE CODES. Every other state is one of a job that is not over.
_OVER = frozenset(
    {
        *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "NODE_FAIL", "BOOT_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED"),
    }
)
# It waits, and its begin is a guess; or waits again. Those of flags are what is shown in place of PENDING
# (https://slurm.schedmd.com/job_state_codes.html).
_QUEUED_AGAIN = frozenset({"REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
_WAITS = _QUEUED_AGAIN | {"PENDING", "CONFIGURING", "REQUEUE_FED", "RESV_DEL_HOLD", "EXPEDITING"}
# How a job may end that is begun while it runs.
_AGAIN = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
_CAUSES = {
    "PREEMPTED": (Cause.PREEMPTED, "was preempted by another job"),
    "NODE_FAIL": (Cause.NODE_FAILED, "lost its node"),
    "BOOT_FAIL": (Cause.NODE_FAILED, "got a node that did not start"),
    "CANCELLED": (Cause.CANCELLED, "was cancelled"),
    "DEADLINE": (Cause.CANCELLED, "was not over by its deadline"),
    "TIMEOUT": (Cause.OUT_OF_TIME, "was ended by a time limit of Slurm's, not by the test's own"),
    "OUT_OF_MEMORY": (Cause.OUT_OF_MEMORY, "used more memory than Slurm gave it"),
}


# squeue(1), JOB REASON CODES; every other one stands for itself.
_NO_REASON = ("", "None")
# What waiting does not bring, and why.
_NEVER = {
    "PartitionTimeLimit": "its partition allows no job so long",
    "PartitionNodeLimit": "its partition has not so many nodes",
    "BadConstraints": "no node is as it asks for",
    "DependencyNeverSatisfied": "what it depends on has failed",
    "InvalidAccount": "its account is none",
    "InvalidQOS": "its quality of service is none",
    "AccountNotAllowed": "its account may not use this partition",
    "QOSNotAllowed": "its quality of service may not use this partition",
}
_REASONS = {
    "Resources": "devices or nodes that others use",
    "Priority": "jobs that go before it",
    "ReqNodeNotAvail": "a node that is not available",
    "BeginTime": "its time to begin",
    "JobHeldAdmin": "an administrator who holds it",
    "JobHeldUser": "somebody who holds it",
    "PartitionDown": "its partition, which is down",
    "PartitionInactive": "its partition, which begins nothing now",
    "Licenses": "licences that others use",
    **{reason: f"nothing: {why}" for reason, why in _NEVER.items()},
}
# A limit of one job's, whatever becomes of others: QOSMaxGRESPerJob, AssocMaxWallDurationPerJobLimit, QOSMinGRES.
_OF_ONE_JOB = re.compile(r"(QOS|Assoc)(Max\w*Per(Job|Node)|Min)")
_LIMITS = (("QOS", "a limit of its quality of service"), ("Assoc", "a limit of its account"))
_UNKNOWN = ("", "N/A", "Unknown")
# By how much the clocks of two hosts may differ, in seconds; a controller that was killed is away for longer.
_CLOCKS_S = 2.0
# How long a node may try to begin a job, while its controller is away.
_LAUNCH_S = 60.0


def is_over(seen: Seen) -> bool:
    """Whether the job will never do anything more."""
    return seen.state in _OVER


def together(listed: Sequence[Seen], accounted: Sequence[Seen]) -> Sequence[Seen]:
    """What the controller says of one job, and who cancelled it, which only the database knows.

    The latter alone counts for a job that the former does not list: what it says of the rest may be older. What it
    takes for alive then, a controller that was killed has forgotten.
    """
    if not listed:
        # Its database closes what a controller that was replaced does not know, and names nobody who did that.
        return [
            replace(seen, forgotten=seen.state == "CANCELLED" and not seen.ended_by)
            for seen in accounted
            if is_over(seen) or seen.state in _QUEUED_AGAIN
        ]
    by = next((seen.ended_by for seen in reversed(accounted) if seen.ended_by), "")
    return [replace(seen, ended_by=by) if seen.state == "CANCELLED" else seen for seen in listed]


def ended_by_itself(seen: Seen) -> bool:
    """Whether nobody did anything to a job that is over: its node reports of it."""
    return seen.state in ("COMPLETED", "FAILED")


def ended_from_outside(seen: Seen, clock_ahead: float) -> float:
    """When Slurm, or somebody, ended a job that did not end by itself, by our clock; 0 for every other."""
    at = _time(seen.ended) if seen.state in _CAUSES else 0.0
    return at and at - clock_ahead


def clock_ahead(seen: Seen, asked_at: float, submitted_by: float) -> float:
    """By how much the controller's clock is ahead of ours at most; 0 if they may be the same.

    It says that the job was submitted at another time than between these two of our clock.
    """
    at = _time(seen.submitted)
    # It writes whole seconds.
    same = asked_at - 1 <= at <= submitted_by
    return 0.0 if same or not (at and asked_at) else at + 1 - asked_at


def ends_amid_prolog(seen: Seen) -> bool:
    """Whether somebody ended it while its node prepared it: what the node itself ends, it does so after that."""
    return seen.reason == "Prolog" and seen.state in ("COMPLETING", "CANCELLED")


def was_queued_again(seen: Seen, submitted: str) -> bool:
    """Whether it is to begin a second time, which is known by another submit time, too."""
    another = submitted and seen.submitted != submitted and not is_of_federation(seen.job_id)
    return bool(another) or seen.state in _QUEUED_AGAIN


def is_of_federation(job_id: str) -> bool:
    """Whether clusters of a federation share the job: its id holds that of one (Slurm's federation guide)."""
    return int(job_id) >> 26 > 0


def is_elsewhere(seen: Seen) -> bool:
    """Whether another cluster of the federation has the job, which says what becomes of it."""
    return seen.state == "REVOKED"


def latest(found: Sequence[Seen]) -> Seen:
    """What counts of all that is said of one job: the word of the cluster that has it, else the last one."""
    return max(reversed(found), key=lambda seen: (not is_elsewhere(seen), not waits(seen)))


def that_runs(found: Sequence[Seen], job_id: str) -> str:
    """The id of the one of several jobs with one token that runs; ``job_id`` if none does yet."""
    return max(found, key=lambda seen: (not is_over(seen), not waits(seen), seen.job_id == job_id)).job_id


def began_after(seen: Seen, started_by: float, slack: float = _CLOCKS_S) -> bool:
    """Whether Slurm says that it began a job well after its command ran (a Unix time, 0 if it has not)."""
    return bool(started_by) and not waits(seen) and _time(seen.begun) > started_by + slack


def _time(written: str) -> float:
    """A time in Slurm's writing; 0 where it has none."""
    try:
        return datetime.fromisoformat(written).timestamp()
    except ValueError:
        return 0.0


def waits(seen: Seen) -> bool:
    """Whether the job has not begun yet."""
    return seen.state in _WAITS


def is_hopeless(seen: Seen) -> bool:
    """Whether a job waits for what waiting does not bring, unless somebody changes the job or Slurm's settings."""
    reason = seen.reason.partition(",")[0]
    return reason in _NEVER or bool(_OF_ONE_JOB.match(reason))


def is_suspended(seen: Seen) -> bool:
    """Whether the job has begun and is held still, as for another one (gang scheduling)."""
    return seen.state in ("SUSPENDED", "STOPPED")


def waits_for(seen: Seen) -> str:
    """What a waiting job waits for, in a sentence without an end; empty while Slurm has not looked at it."""
    if seen.reason in _NO_REASON:
        return ""
    what = _REASONS.get(seen.reason.partition(",")[0]) or next(
        (w for start, w in _LIMITS if seen.reason.startswith(start)), ""
    )
    start = f"; Slurm expects to begin it at {start}" if (start := expected_start(seen)) else ""
    return f"job {seen.job_id} of Slurm waits for {what}{f' ({seen.reason})' if what else seen.reason}{start}"


def expected_start(seen: Seen) -> str:
    """When Slurm expects to begin a waiting job, in its own writing; empty where it does not know."""
    return "" if seen.begun in _UNKNOWN else seen.begun


def waited(seen: Seen, seconds: float) -> str:
    """That it waited so long for nothing, and what Slurm says it waits for (squeue(1), JOB REASON CODES)."""
    return f"job {seen.job_id} of Slurm did not start within {seconds:g} s, for {seen.reason or 'no reason'}"


def ending(
    seen: Seen,
    reported: Ending | None,
    *,
    stopped: bool = False,
    ordered: bool = True,
    started_by: float = 0.0,
    forgotten: bool = False,
    amid_prolog: bool = False,
) -> Ending:
    """How a job that is over has ended; ``stopped``: by an order of ours.

    ``reported`` is what its lease said, None if it said nothing. What Slurm did to it outweighs that, if the lease
    was ``ordered`` to end: a command may obey SIGTERM and exit with anything. A controller that was killed may have
    ``forgotten`` that it began the job: then it begins it again, and ends for that what runs. ``started_by`` is
    when its command ran, a Unix time; 0 if it has not. ``amid_prolog``: see ``ends_amid_prolog``.
    """
    if stopped and seen.state == "CANCELLED":
        return ending_of_stopped(reported)
    if (
        (forgotten or (not amid_prolog and _was_not_launched(seen, started_by)))
        and seen.state in _AGAIN
        and (reported is None or ordered or reported.cause is Cause.SIGNALLED)
    ):
        what = "forgot that it had begun" if forgotten else "began and did not launch"
        detail = f"Slurm {what} job {seen.job_id}, and ended it as {seen.state}"
        return Ending(Cause.LOST, detail=detail)
    if seen.state in _CAUSES and not (reported and _stands(seen, reported, ordered)):
        cause, what = _CAUSES[seen.state]
        by = f" by the user with id {seen.ended_by}" if seen.ended_by else ""
        nodes = f" on {seen.nodes}" if seen.nodes else ""
        told = Ending(cause) if reported is None else replace(reported, cause=cause)
        return replace(told, detail=f"job {seen.job_id} of Slurm{nodes} {what}{by}")
    return reported or Ending(Cause.LOST, detail=f"job {seen.job_id} of Slurm ended as {seen.state} and no report")


def _was_not_launched(seen: Seen, started_by: float) -> bool:
    """Whether its node had it cancelled, in the name of root, instead of beginning it.

    Because it has a job of that number: the first copy of this one, whose command ran before, or one that a
    controller which was killed has forgotten with the number that it then used again. Or because the controller
    was killed before it said so again. Of what its node has begun no more than that: root may cancel that by hand.
    """
    # One that waited has no nodes.
    if seen.state != "CANCELLED" or seen.nodes in ("", "None assigned") or seen.ended_by not in ("", "0"):
        return False
    begun, ended = _time(seen.begun), _time(seen.ended)
    if not started_by:
        return begun > 0 and 0 < ended <= begun + _LAUNCH_S
    return began_after(seen, started_by, slack=0.0) and 0 < ended <= begun + 1


def _stands(seen: Seen, reported: Ending, ordered: bool) -> bool:
    """Whether the lease's own word tells more: of a time limit, or of a pass that was over when Slurm did that."""
    return reported.cause is Cause.TIMED_OUT or (reported.passed and (not ordered or seen.state == "OUT_OF_MEMORY"))
