"""Promise 1: a device has one holder, for as long as any process of its job lives."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from jobs import ENDS_SLOWLY

from trainci.host.devices import pool

# A job whose child has neither the lock's descriptor (Popen closes it) nor a parent that waits for it, and which
# ends slowly when asked to.
SLOW_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {ENDS_SLOWLY!r}, *sys.argv[1:]], close_fds=True)
child.wait()
"""


def slow_job(host, tmp_path):
    born, gone = tmp_path / "born", tmp_path / "gone"
    job = host.holder("--count", "8", command=(sys.executable, "-c", SLOW_CHILD, str(born), str(gone)))
    return job, born, gone


def test_a_device_that_is_held_is_not_given_to_a_second(host, is_alive):
    first = host.holder("--devices", "3")
    second = host.waiter("--devices", "3")
    assert not second.has("granted")
    os.kill(first.event("started")["pid"], signal.SIGTERM)
    second.event("granted")
    assert not is_alive(first.event("started")["pid"])
    assert first.wait() == 128 + signal.SIGTERM


def test_sigkill_of_the_wrapper_never_frees_a_device_that_is_still_used(host, tmp_path, until, is_alive):
    job, born, gone = slow_job(host, tmp_path)
    child = int(until(lambda: born.exists() and born.read_text(), "the child"))
    next_one = host.waiter("--count", "8", command=("cat", str(gone)))
    job.process.kill()
    assert next_one.end()[:2] == (0, "gone"), "the next job started before the last process of the first had ended"
    assert not is_alive(child)


def test_a_lock_directory_that_is_moved_and_copied_back_ends_no_job(host, is_alive):
    first = host.holder("--devices", "3")
    moved = host.path.rename(host.path.parent / "moved")
    subprocess.run(["cp", "-a", moved, host.path], check=True)
    second = host.waiter("--devices", "3", "--timeout", "3")
    assert second.wait() == 75
    assert not second.has("granted")
    assert is_alive(first.event("started")["pid"])
    third = host.waiter("--devices", "3")
    os.kill(first.event("started")["pid"], signal.SIGTERM)
    third.event("granted")
    assert third.wait() == 0


def test_sigkill_of_the_supervisor_ends_the_job_and_is_the_machines_fault(host, tmp_path, until, is_alive):
    job, born, gone = slow_job(host, tmp_path)
    child = int(until(lambda: born.exists() and born.read_text(), "the child"))
    next_one = host.waiter("--count", "8", command=("cat", str(gone)))
    os.kill(job.supervisor, signal.SIGKILL)
    assert next_one.end()[:2] == (0, "gone")
    assert job.wait() == 3
    assert "killed" in job.event("ended")["lost"]
    assert not is_alive(child)


def test_sigkill_of_wrapper_and_supervisor_at_once_leaves_no_survivor_beside_the_next_job(
    host, tmp_path, until, is_alive
):
    job, born, gone = slow_job(host, tmp_path)
    child = int(until(lambda: born.exists() and born.read_text(), "the child"))
    next_one = host.waiter("--count", "8", command=("cat", str(gone)))
    for pid in (job.supervisor, job.pid, job.event("started")["pid"]):
        os.kill(pid, signal.SIGKILL)
    assert next_one.end()[:2] == (0, "gone"), "what was left of the first job was not ended before the next began"
    assert not is_alive(child)


def test_survivors_of_wrapper_and_supervisor_are_ended_while_they_hold_the_lock(host, until, is_alive):
    """The command has the descriptor: the lock stays held, and only the watcher sees that it is orphaned."""
    job = host.holder("--count", "8")
    next_one = host.waiter("--count", "8")
    supervisor, command = job.supervisor, job.event("started")["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    job.process.kill()
    os.kill(supervisor, signal.SIGKILL)
    assert next_one.end()[0] == 0
    assert not is_alive(command)


def open_files(pid):
    """What its descriptors lead to; some may be closed while we look."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return found


def test_every_process_of_the_job_holds_the_lock(host):
    job = host.holder("--devices", "2")
    lock = (host.path / "devices" / "cpu-2.lock").resolve()
    for pid in job.processes():
        assert str(lock) in open_files(pid)


def test_a_stopped_watcher_holds_no_device(host):
    job = host.holder("--devices", "2")
    host.waiter("--devices", "2,3")
    os.kill(host.watcher(), signal.SIGSTOP)
    job.kill()
    assert (
        subprocess.run(["flock", "--timeout", "20", host.path / "devices" / "cpu-2.lock", "true"]).returncode == 0
    )


def test_the_supervisor_of_a_job_that_waited_holds_every_lock_too(host, tmp_path):
    """They are passed to it in one message, two for each of as many devices as can be asked for."""
    host.devices = len(pool("cpu:120").devices)
    holder = host.holder("--count", "120")
    pattern = ("--lock-path-pattern", str(tmp_path / "gpu_{gpu_id}"))
    waiter = host.waiter("--count", "120", *pattern, command=("sleep", "1000"))
    supervisor = waiter.prepared_supervisor
    holder.process.terminate()
    assert waiter.supervisor == supervisor
    held = open_files(supervisor)
    assert held >= {str(tmp_path / f"gpu_{i}") for i in range(120)}
    assert held >= {str(host.path / "devices" / f"cpu-{i}.lock") for i in range(120)}
    host.devices += 1
    assert host.run("--", "true").returncode == 2
