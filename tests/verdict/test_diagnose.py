"""What decides between lines of one log, beside what the cases show as a whole."""

from __future__ import annotations

import pytest

from trainci.log_files import packaged_rules
from trainci.model.diagnosis import Blame, Diagnosis, Facts
from trainci.verdict.diagnose import diagnose
from trainci.verdict.log_reader import LogReader

ILLEGAL = "RuntimeError: CUDA error: an illegal memory access was encountered"
ECC = "NVRM: Xid (PCI:0000:3b:00): 94, Contained: Uncorrectable ECC error"


def judged(*lines: str, facts: Facts | None = None) -> Diagnosis:
    reader = LogReader(packaged_rules())
    reader.feed(lines)
    return diagnose(reader.finish(), facts or Facts(exit_code=1))


def raised(text: str) -> tuple[str, ...]:
    return ("Traceback (most recent call last):", '  File "/repo/t.py", line 1, in <module>', "    run()", text)


def test_what_fails_on_a_device_that_broke_before_is_the_machines() -> None:
    assert judged(ECC, *raised(ILLEGAL)).blame is Blame.MACHINE
    assert judged(*raised(ILLEGAL)).blame is Blame.CODE
    assert judged(ECC, *raised("KeyError: 'xid'")).blame is not Blame.MACHINE


@pytest.mark.parametrize(
    ("served", "blame"),
    [
        ("INFO: Uvicorn running on http://0.0.0.0:30000", Blame.UNSURE),
        ("INFO: Uvicorn running on http://0.0.0.0:30001", Blame.MACHINE),
        ("started 4 workers", Blame.MACHINE),
    ],
)
def test_a_port_that_the_log_says_was_served_before_may_be_the_tests_own(served: str, blame: Blame) -> None:
    taken = (
        "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 30000): address already in use"
    )
    assert judged(served, *raised(taken)).blame is blame


def test_a_bus_error_is_the_machines_where_anything_says_that_a_disk_is_full() -> None:
    warning = "UserWarning: [Errno 28] No space left on device.  It will go on without a cache"
    assert judged("Fatal Python error: Bus error").blame is Blame.UNSURE
    assert judged(warning, "Fatal Python error: Bus error").blame is Blame.MACHINE


def test_a_disk_that_had_room_again_may_have_been_filled_by_the_test() -> None:
    full = raised("OSError: [Errno 28] No space left on device")
    assert judged(*full).blame is Blame.MACHINE
    assert judged(*full, facts=Facts(exit_code=1, disk_full=False)).blame is Blame.UNSURE


def test_an_error_without_a_host_is_about_the_local_server_that_another_line_names() -> None:
    cut = "aiohttp.client_exceptions.ClientPayloadError: Response payload is not completed"
    refused = (
        "requests.exceptions.ConnectionError: HTTPConnectionPool(host='127.0.0.1', port=8000): Max retries exceeded"
    )
    assert judged(*raised(refused), cut).blame is Blame.UNSURE
    assert judged(cut).blame is Blame.MACHINE


def test_an_assertion_is_the_codes_whatever_it_quotes_of_memory() -> None:
    quoted = raised("AssertionError: expected 'CUDA out of memory. Tried to allocate 2.00 GiB' to be raised")
    assert judged(*quoted, facts=Facts(exit_code=1, foreign_memory=True)).blame is Blame.CODE


def test_a_server_that_fails_ends_its_own_processes_and_nobody_from_outside_did() -> None:
    known = Facts(exit_code=1, kernel_oom=False)
    killed = "RuntimeError: server process exited with exit code -9"
    assert judged("exitcode  : -9 (pid: 4711)", facts=known).blame is Blame.MACHINE
    quit_ = "Received sigquit from a child process. It usually means the child failed."
    assert judged(quit_, "exitcode  : -9 (pid: 4711)", killed, facts=known).blame is Blame.UNSURE
