"""What Ray's word for a job and the lease's for its command mean together. The messages are of a real Ray 2.60."""

from __future__ import annotations

import pytest

from trainci.executors.ray import states
from trainci.executors.ray.states import Seen
from trainci.model.run import Cause, Ending

PASSED = Ending(Cause.EXITED, 0)
FAILED = Ending(Cause.EXITED, 1)
ENDED = Ending(Cause.SIGNALLED, signal=15)
DIED = (
    "Job supervisor actor died: The actor died unexpectedly before finishing this task.\n\tclass_name: "
    "JobSupervisor\n\tpid: 18549\n\tip: 127.0.0.2\nThe actor died because its node has died. Node Id: 00bd9f2d\n"
    "\tthe actor's node was terminated unexpectedly: health check failed due to missing too many heartbeats"
)
MEMORY = (
    "Unexpected error occurred: 1 worker(s) were killed due to the node running low on memory. Memory on the node "
    "(IP: 127.0.0.2, ID: c3c6990d) was 2.73GB used / 23.54GB limit (0.116068)\nOOM kill reason: Memory usage"
)
GONE = Ending(Cause.NODE_FAILED, detail="node 1 of 2 (127.0.0.2) is gone")


@pytest.mark.parametrize(
    ("status", "message", "fault", "reported", "cause", "detail"),
    [
        ("SUCCEEDED", "", None, PASSED, Cause.EXITED, ""),
        ("FAILED", "Job entrypoint command failed", None, FAILED, Cause.EXITED, ""),
        ("FAILED", DIED, None, None, Cause.NODE_FAILED, "job j of Ray lost its node (127.0.0.2)"),
        ("FAILED", DIED, None, ENDED, Cause.NODE_FAILED, "job j of Ray lost its node (127.0.0.2)"),
        ("FAILED", DIED, None, PASSED, Cause.EXITED, ""),
        (
            "FAILED",
            MEMORY,
            None,
            None,
            Cause.OUT_OF_MEMORY,
            "was killed by Ray, whose node (127.0.0.2) ran low",
        ),
        ("FAILED", "", GONE, ENDED, Cause.NODE_FAILED, "job j of Ray ended: node 1 of 2 (127.0.0.2) is gone"),
        ("FAILED", "", GONE, FAILED, Cause.NODE_FAILED, "job j of Ray ended: node 1 of 2"),
        ("STOPPED", "", None, ENDED, Cause.CANCELLED, "job j of Ray was stopped by somebody"),
        ("STOPPED", "", GONE, None, Cause.CANCELLED, "job j of Ray was stopped by somebody"),
        ("STOPPED", "", None, PASSED, Cause.EXITED, ""),
        (
            "FAILED",
            "Job supervisor actor died\nmore",
            None,
            None,
            Cause.LOST,
            "and no report: Job supervisor",
        ),
    ],
)
def test_what_was_done_to_a_job_goes_before_what_its_lease_said(status, message, fault, reported, cause, detail):
    ending = states.ending(Seen("j", status, message), reported, fault, ordered=reported is not PASSED)
    assert (ending.cause, detail in ending.detail) == (cause, True), ending
    if reported is not None:
        assert (ending.exit_code, ending.signal) == (reported.exit_code, reported.signal)


def test_a_job_that_its_lease_did_not_begin_was_never_started_whatever_the_node_had_no_memory_for():
    ending = states.ending(Seen("j", "FAILED", MEMORY), None, started=False)
    assert (ending.cause, "low on memory" in ending.detail) == (Cause.NEVER_STARTED, True)


@pytest.mark.parametrize("reported", [None, PASSED, ENDED])
def test_a_job_that_we_stopped_never_passes(reported):
    assert states.ending(Seen("j", "STOPPED"), reported, stopped=True) == ENDED


@pytest.mark.parametrize(
    ("status", "several", "started", "waits"),
    [
        ("PENDING", False, False, True),
        ("RUNNING", False, False, False),
        ("RUNNING", True, False, True),
        ("RUNNING", True, True, False),
        ("FAILED", True, False, False),
    ],
)
def test_a_driver_that_waits_for_nodes_counts_as_a_job_that_waits(status, several, started, waits):
    assert states.waits(Seen("j", status), several=several, started=started) is waits
