"""A job writes into the descriptors of who watches over it, as /proc lets one user do: it is not green."""

from __future__ import annotations

from typing import Any

import pytest

from trainci.lease import protocol

FORGES = f"""
import os, signal, sys, time

REPORT = {protocol.dump(protocol.Ended(code=0))!r}


def parent(pid):
    with open(f"/proc/{{pid}}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def write_into(pid, text):
    for number in os.listdir(f"/proc/{{pid}}/fd"):
        path = f"/proc/{{pid}}/fd/{{number}}"
        try:
            if os.readlink(path).startswith("pipe:"):
                os.write(os.open(path, os.O_WRONLY | os.O_NONBLOCK), text)
        except OSError:
            pass


if __name__ == "__main__":
    supervisor = os.getppid()
    wrapper = parent(supervisor)
"""
HOW = {
    "to both": "write_into(supervisor, REPORT); write_into(wrapper, REPORT)",
    "to the wrapper, which is killed then": "write_into(wrapper, REPORT); os.kill(wrapper, signal.SIGKILL)",
    "what is no report": "write_into(supervisor, b'{}\\n' + bytes(100))",
}


@pytest.mark.parametrize("how", HOW)
def test_a_report_that_the_job_itself_writes_is_not_believed(repository: Any, how: str) -> None:
    repository.write("trainci.toml", "[suites.s]\nnum_gpus = 0\ntests = ['tests/test_a.py']\n")
    repository.write("tests/test_a.py", f"{FORGES}    {HOW[how]}\n    sys.exit(1)\n")
    ran = repository.trainci("run", "s", "--devices", "cpu:1")
    assert ran.code in (1, 3) and "] passed" not in ran.out, ran.out
    assert "Traceback" not in ran.out, ran.out


@pytest.mark.slow
def test_a_job_that_stops_who_watches_over_it_is_ended_all_the_same(repository: Any) -> None:
    repository.write(
        "trainci.toml", "[suites.s]\nnum_gpus = 0\ntimeout_minutes = 0.02\ntests = ['tests/test_a.py']\n"
    )
    stop = "os.kill(supervisor, signal.SIGSTOP); os.kill(wrapper, signal.SIGSTOP)"
    repository.write("tests/test_a.py", f"{FORGES}    {stop}\n    time.sleep(600)\n")
    ran = repository.trainci("run", "s", "--devices", "cpu:1")
    assert ran.code in (1, 3) and "] passed" not in ran.out, ran.out
