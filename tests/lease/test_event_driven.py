"""Promise 4: whoever dies, stops or freezes, the queue goes on.

The tests of events run without the watchdog, which would hide that one was lost.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def events_only(host):
    host.watchdog = False
    return host


def test_a_killed_holder_is_noticed_by_the_watcher(events_only):
    job = events_only.holder("--count", "8")
    waiters = [events_only.waiter("--count", "8") for _ in range(3)]
    job.kill()
    waiters[0].event("granted")
    assert [waiter.wait() for waiter in waiters] == [0, 0, 0]


def test_a_foreign_lock_that_is_let_go_is_noticed(events_only):
    events_only.run("--count", "8", "--", "true")
    stranger = subprocess.Popen(
        ["flock", str(events_only.path / "devices" / "cpu-0.lock"), "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    stranger.stdout.readline()
    waiter = events_only.waiter("--devices", "0")
    stranger.communicate()
    assert waiter.wait() == 0


def test_a_killed_waiter_does_not_hold_up_those_behind_it(events_only):
    holder = events_only.holder("--devices", "0")
    head = events_only.waiter("--devices", "0,1")
    behind = events_only.waiter("--devices", "1")
    assert not behind.has("granted")
    head.process.kill()
    behind.event("granted")
    holder.process.terminate()


def test_a_killed_watcher_has_a_successor(events_only, until):
    job = events_only.holder("--count", "8")
    waiters = [events_only.waiter("--count", "8") for _ in range(2)]
    killed = events_only.watcher()
    os.kill(killed, signal.SIGKILL)
    until(lambda: events_only.watcher() != killed, "a new watcher")
    job.kill()
    assert [waiter.wait() for waiter in waiters] == [0, 0]


def test_a_stopped_watcher_does_not_stall_a_clean_hand_over(events_only):
    job = events_only.holder("--count", "8")
    waiters = [events_only.waiter("--count", "8") for _ in range(3)]
    stopped = events_only.watcher()
    os.kill(stopped, signal.SIGSTOP)
    job.process.terminate()
    assert [waiter.wait() for waiter in waiters] == [0, 0, 0]


def test_a_stopped_watcher_does_not_stall_the_queue_when_a_holder_is_killed(host):
    job = host.holder("--count", "8")
    waiters = [host.waiter("--count", "8") for _ in range(2)]
    os.kill(host.watcher(), signal.SIGSTOP)
    job.kill()
    assert [waiter.wait() for waiter in waiters] == [0, 0]


def test_a_stopped_waiter_that_was_granted_does_not_stall_those_behind_it(events_only):
    job = events_only.holder("--count", "8")
    stopped, other = events_only.waiter("--count", "8"), events_only.waiter("--count", "8")
    os.kill(stopped.pid, signal.SIGSTOP)
    job.process.terminate()
    assert other.wait() == 0
    os.kill(stopped.pid, signal.SIGCONT)
    assert stopped.wait() == 0


def test_a_process_stopped_with_the_mutex_does_not_stall_the_queue(host):
    host.run("--", "true")
    with (host.path / "queue" / "lock.1").open() as stuck:
        fcntl.flock(stuck, fcntl.LOCK_EX)
        assert host.run("--count", "8", "--", "true").returncode == 0
        assert host.run("--count", "8", "--", "true").returncode == 0


# Prints the path of every file that a cycle locks.
RUN_CYCLE_AND_TELL = """
import os, sys, time
from trainci.lease.store.directory import open_directory
from trainci.lease.queue.cycle import run_cycle
from trainci.lease.queue.tickets import waiting
directory = open_directory(sys.argv[1])
sys.addaudithook(
    lambda event, given: event == "fcntl.flock" and print(os.readlink(f"/proc/self/fd/{given[0]}"))
)
decision = run_cycle(directory, time.time(), waiting(directory))
assert len(decision.queue) == 1 and len(decision.busy) == 8
"""


def test_a_process_stopped_while_it_looks_keeps_no_device(host):
    """A cycle reads records and lets the locks of devices alone, so it cannot be stopped with one in its hands."""
    host.holder("--count", "8")
    host.waiter("--count", "8")
    told = subprocess.run(
        [sys.executable, "-c", RUN_CYCLE_AND_TELL, host.path], capture_output=True, text=True, check=True
    )
    assert "/tickets/" in told.stdout and "/leases/" in told.stdout
    assert "/devices/" not in told.stdout


def test_a_stopped_wrapper_does_not_keep_the_devices_of_a_job_that_has_ended(events_only):
    """As ^Z at a terminal does it; the supervisor gives the devices back in its place."""
    job = events_only.holder("--count", "8")
    waiters = [events_only.waiter("--count", "8") for _ in range(2)]
    os.kill(job.pid, signal.SIGSTOP)
    os.kill(job.event("started")["pid"], signal.SIGTERM)
    assert [waiter.wait() for waiter in waiters] == [0, 0]
    os.kill(job.pid, signal.SIGCONT)
    assert job.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_job_starts_whatever_happened_to_its_supervisor_while_it_waited(events_only, number):
    holder = events_only.holder("--count", "8")
    waiter = events_only.waiter("--count", "8", command=("echo", "ran"))
    os.kill(waiter.prepared_supervisor, number)
    holder.process.terminate()
    assert waiter.end()[:2] == (0, "ran\n")


def test_the_stopped_supervisor_of_a_killed_waiter_does_not_hold_up_those_behind_it(events_only):
    holder = events_only.holder("--devices", "0")
    head = events_only.waiter("--devices", "0,1")
    supervisor = head.prepared_supervisor
    behind = events_only.waiter("--devices", "1")
    os.kill(supervisor, signal.SIGSTOP)
    head.process.kill()
    behind.event("granted")
    os.kill(supervisor, signal.SIGCONT)
    holder.process.terminate()


def test_the_supervisor_of_a_killed_waiter_ends(events_only, until, is_alive):
    events_only.holder("--count", "8")
    waiter = events_only.waiter("--count", "8")
    supervisor = waiter.prepared_supervisor
    waiter.process.kill()
    until(lambda: not is_alive(supervisor), "the end of a supervisor that nobody needs")


def test_a_waiter_that_gives_up_leaves_no_supervisor(events_only, is_alive, until):
    events_only.holder("--count", "8")
    waiter = events_only.waiter("--count", "8", "--timeout", "1000")
    supervisor = waiter.prepared_supervisor
    os.kill(supervisor, signal.SIGSTOP)
    waiter.process.terminate()
    assert waiter.end()[0] == 128 + signal.SIGTERM
    until(lambda: not is_alive(supervisor), "the end of a supervisor that nobody needs")


def test_the_watcher_of_a_request_ends_once_its_command_runs(events_only, is_alive, until):
    holder = events_only.holder("--count", "8")
    waiter = events_only.waiter("--count", "8", command=("sleep", "1000"))
    watcher = events_only.watcher()
    holder.process.terminate()
    waiter.event("started")
    until(lambda: not is_alive(watcher), "the end of a watcher that has nobody to watch for")
    assert waiter.process.poll() is None
    waiter.process.terminate()
