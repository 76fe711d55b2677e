"""Pure: what Ray's word for the state of a job, and the lease's for the end of its command, mean together."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from trainci.executors.base import ending_of_stopped
from trainci.model.run import Cause, Ending

_OVER = ("SUCCEEDED", "FAILED", "STOPPED")
# Ray's own sentences, in what it says of a job whose supervisor it lost (seen of Ray 2.60).
_NODE_DIED = "its node has died"
_LOW_ON_MEMORY = "killed due to the node running low on memory"
_WHERE = re.compile(r"\bip: ?([^\s,]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """What Ray says of a job: its status (ray.job_submission.JobStatus), and what went wrong, or nothing."""

    job_id: str
    status: str
    message: str = ""


def is_over(seen: Seen) -> bool:
    """Whether the job will never do anything more."""
    return seen.status in _OVER


def waits(seen: Seen, *, several: bool, started: bool) -> bool:
    """Whether the job waits inside Ray: for one node, or as a driver for ``several``."""
    return seen.status == "PENDING" or (several and not started and not is_over(seen))


def ending(
    seen: Seen,
    reported: Ending | None,
    fault: Ending | None = None,
    *,
    stopped: bool = False,
    ordered: bool = True,
    started: bool = True,
) -> Ending:
    """How a job that is over has ended; ``stopped``: by an order of ours.

    ``reported`` is what its lease said, None if it said nothing; ``fault`` what its own program on Ray says of its
    nodes. What was done to it outweighs what the lease said, if that was ``ordered`` to end.
    """
    if stopped:
        return ending_of_stopped(reported)
    stands = reported is not None and reported.passed and not ordered
    done = None if stands else _done_to_it(seen, fault, started)
    if done is not None:
        told = Ending(done.cause) if reported is None else replace(reported, cause=done.cause)
        return replace(told, detail=f"job {seen.job_id} of Ray {done.detail}")
    if reported is not None:
        return reported
    why = f": {seen.message.splitlines()[0]}" if seen.message else ""
    cause = Cause.LOST if started else Cause.NEVER_STARTED
    return Ending(cause, detail=f"job {seen.job_id} of Ray ended as {seen.status} and no report{why}")


def _done_to_it(seen: Seen, fault: Ending | None, started: bool) -> Ending | None:
    """What somebody or something did to the job, as its cause and the rest of a sentence."""
    if seen.status == "STOPPED":
        return Ending(Cause.CANCELLED, detail="was stopped by somebody")
    if fault is not None:
        return replace(fault, detail=f"ended: {fault.detail}")
    where = _WHERE.search(seen.message)
    on = f" ({where[1]})" if where else ""
    if _NODE_DIED in seen.message:
        return Ending(Cause.NODE_FAILED, detail=f"lost its node{on}")
    if _LOW_ON_MEMORY in seen.message and started:
        return Ending(Cause.OUT_OF_MEMORY, detail=f"was killed by Ray, whose node{on} ran low on memory")
    return None
