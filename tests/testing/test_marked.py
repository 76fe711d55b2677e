"""The processes of a command, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from support import wait_until

from trainci.host.processes import process
from trainci.testing.marked import MarkedProcesses


def started(script, processes):
    """A shell that runs ``script``, and the first line that it printed."""
    leader = processes.start(["sh", "-c", script], env=os.environ, output=subprocess.PIPE, errors=None)
    return leader, leader.stdout.readline().decode().strip()


def ended(pid):
    return wait_until(lambda: process(pid) is None, "its end")


def test_a_process_without_the_mark_in_a_session_of_its_own_is_ended_though_its_parent_has_gone():
    processes = MarkedProcesses()
    # The shell that stands in for the whole environment prints its own number.
    leader, pid = started("""env -i setsid sh -c 'echo $$; exec sleep 1000' & wait""", processes)
    try:
        processes.end(0.5)
        assert leader.returncode == -signal.SIGTERM
        assert ended(int(pid))
    finally:
        subprocess.run(["kill", "-9", pid], stderr=subprocess.DEVNULL)
        leader.stdout.close()


def test_a_second_interrupt_cuts_the_waiting_short_and_not_the_ending():
    def interrupt(*_):
        raise KeyboardInterrupt

    processes = MarkedProcesses()
    before = signal.signal(signal.SIGALRM, interrupt)
    leader, _ = started("trap 'kill -ALRM $PPID' TERM; echo ready; while :; do sleep 1; done", processes)
    try:
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            processes.end(300)
        assert time.monotonic() - begun < 100
        assert leader.returncode == -signal.SIGKILL
    finally:
        signal.signal(signal.SIGALRM, before)
        leader.kill()
        leader.communicate()


def test_a_group_that_has_been_given_the_number_of_the_leader_is_left_alone():
    processes = MarkedProcesses()
    leader, _ = started("echo ready", processes)
    leader.wait()
    leader.stdout.close()
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        leader.pid = stranger.pid  # as the kernel may do, once the leader has been waited for
        processes.end(0)
        # Had it been asked to end, it would have ended of that.
        stranger.kill()
        assert stranger.wait() == -signal.SIGKILL
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupt_while_it_starts_ends_it(tmp_path, monkeypatch):
    class Interrupted(subprocess.Popen):
        """The command runs already when the interrupt comes, which Popen has not told anybody."""

        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            wait_until((tmp_path / "running").exists, "its start")
            raise KeyboardInterrupt

    script = f"setsid sleep 1000 & echo $$ $! > {tmp_path}/pids; mv {tmp_path}/pids {tmp_path}/running; wait"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(subprocess, "Popen", Interrupted)
        MarkedProcesses().start(["sh", "-c", script], env=os.environ, output=None, errors=None)
    pids = [int(pid) for pid in (tmp_path / "running").read_text().split()]
    try:
        assert [process(pid) for pid in pids] == [None, None]
    finally:
        subprocess.run(["kill", "-9", *map(str, pids)], stderr=subprocess.DEVNULL)
