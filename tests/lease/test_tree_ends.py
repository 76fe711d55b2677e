"""Promise 5: at the end of the command, at a signal, at the time limit, every descendant ends; nobody else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

# A daemon as daemons are made: two forks and a session of its own, streams and descriptors closed.
DAEMON = """
import os, pathlib, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        if sys.argv[2] == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.closerange(0, 100)
        pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
        while True:
            time.sleep(1)
    os._exit(0)
os.wait()
while not pathlib.Path(sys.argv[1]).exists() or not pathlib.Path(sys.argv[1]).read_text():
    time.sleep(0.01)
if sys.argv[3] == "stay":
    time.sleep(1000)
"""


def daemon(path, temper="polite", then="leave"):
    return (sys.executable, "-c", DAEMON, str(path), temper, then)


@pytest.mark.parametrize("temper", ["polite", "deaf"])
def test_a_setsid_daemon_ends_before_the_device_is_handed_on(host, tmp_path, is_alive, temper):
    pid_file = tmp_path / "pid"
    job = host.start("--count", "8", "--grace", "0.3", "--", *daemon(pid_file, temper))
    assert job.wait() == 0
    assert not is_alive(int(pid_file.read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_wrapper_ends_the_tree(host, tmp_path, until, is_alive, number):
    pid_file = tmp_path / "pid"
    job = host.holder("--grace", "0.3", command=daemon(pid_file, "deaf", "stay"))
    pid = int(until(lambda: pid_file.exists() and pid_file.read_text(), "the daemon"))
    job.process.send_signal(number)
    assert job.wait() == 128 + number
    assert not is_alive(pid)


def test_the_time_limit_ends_the_tree(host, tmp_path, is_alive):
    pid_file = tmp_path / "pid"
    job = host.start("--time-limit", "2", "--grace", "0.3", "--", *daemon(pid_file, "deaf", "stay"))
    assert job.wait() == 128 + signal.SIGTERM
    assert job.event("ended")["time_limit"] is True
    assert not is_alive(int(pid_file.read_text()))


def test_a_command_that_ends_well_when_its_time_is_up_is_no_success(host):
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(1000)"
    job = host.start("--time-limit", "1", "--", sys.executable, "-c", code)
    assert job.wait() == 124
    assert job.event("ended")["time_limit"] is True


def test_politely_first(host, tmp_path):
    said = tmp_path / "said"
    script = f'trap "sleep 0.2; echo bye >{said}; exit 5" TERM; while :; do sleep 0.05; done'
    job = host.holder(command=("sh", "-c", script))
    job.process.terminate()
    assert job.wait() == 128 + signal.SIGTERM
    assert said.read_text() == "bye\n"


def test_the_tree_ends_when_the_reader_of_the_reports_goes_away(host, until, is_alive):
    job = host.holder()
    command = job.event("started")["pid"]
    job.close_reports()
    job.wait()
    assert not is_alive(command)


def test_a_waiter_gives_up_when_the_reader_of_the_reports_goes_away(host):
    host.holder("--count", "8")
    waiter = host.waiter("--count", "8")
    waiter.close_reports()
    assert waiter.wait() != 0
    assert host.tickets() == []


def test_stopped_descendants_end_too(host, until, is_alive):
    job = host.holder("--grace", "0.3", command=("sh", "-c", "sleep 1000 & kill -STOP $!; wait"))
    command = job.event("started")["pid"]
    job.process.terminate()
    job.wait()
    assert not is_alive(command)


def test_a_stopped_guardian_is_replaced(host, is_alive, monkeypatch):
    job = host.holder("--grace", "0.3")
    os.kill(job.guardian, signal.SIGSTOP)
    job.process.terminate()
    assert job.wait() == 128 + signal.SIGTERM
    assert not is_alive(job.event("started")["pid"])


def test_unrelated_processes_are_never_touched(host, is_alive):
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        job = host.holder("--grace", "0.3", command=("sh", "-c", 'trap "" TERM; sleep 1000'))
        job.process.terminate()
        job.wait()
        assert is_alive(bystander.pid)
    finally:
        bystander.kill()
        bystander.wait()


def test_the_streams_close_with_the_command(host):
    """Whoever reads the output of a lease sees its end, though the guardian had the same streams."""
    done = subprocess.run(
        host.command("--", "echo", "hello"), env=host.environment, capture_output=True, timeout=40
    )
    assert done.stdout == b"hello\n"
