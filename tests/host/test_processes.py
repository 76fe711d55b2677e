"""The process tree, on real processes."""

from __future__ import annotations

import dataclasses
import errno
import os
import platform
import signal
import subprocess
import sys
import time

import pytest
from support import wait_until

from trainci.host import processes
from trainci.host.processes import Process, descendants, end, marked, process, wait_for_exit

# The number of exit(2), which ends one thread only.
EXIT = {"x86_64": 60, "aarch64": 93}

# Becomes a subreaper, lets a command start what it likes, ends it all, and says what was left.
END = """
import os, subprocess, sys, time
from trainci.host.processes import *
become_subreaper()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
while not descendants(child):
    time.sleep(0.01)
exits = []
begun = time.monotonic()
left = end_descendants(float(sys.argv[1]), lambda pid, status: exits.append(pid))
print(left, child in exits, descendants(os.getpid()), reap(lambda *_: None))
"""


def ended(grace, *command):
    done = subprocess.run(
        [sys.executable, "-c", END, str(grace), *command], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_every_descendant_is_ended_and_reaped():
    assert ended(5, "sh", "-c", "setsid sleep 1000 & sleep 1000") == "[] True [] False"


def test_those_that_ignore_sigterm_are_killed():
    assert ended(0.1, "sh", "-c", 'trap "" TERM; setsid sleep 1000 & sleep 1000') == "[] True [] False"


def test_descendants_are_found_below_a_session_of_their_own():
    started = subprocess.Popen(["sh", "-c", "setsid sh -c 'sleep 1000; true' & wait"])
    try:
        wait_until(lambda: len(descendants(started.pid)) >= 2, "both")
    finally:
        for each in descendants(started.pid):
            each.send(signal.SIGKILL)
        started.kill()
        started.wait()


def test_marked_processes_are_found_and_ended_and_no_others():
    first = subprocess.Popen(["sleep", "1000"], env={**os.environ, "TRAINCI_TEST_MARK": "outer/abc"})
    other = subprocess.Popen(["sleep", "1000"], env={**os.environ, "TRAINCI_TEST_MARK": "abcd", "X": "abc"})
    try:
        # The kernel shows the environment of a program a moment after Popen knows that it was started.
        wait_until(
            lambda: [each.pid for each in marked("TRAINCI_TEST_MARK", "abc")] == [first.pid], "the marked one"
        )
        wait_until(lambda: marked("TRAINCI_TEST_MARK", "abcd"), "the other")
        assert end(lambda: marked("TRAINCI_TEST_MARK", "abc") or None, 5.0) == []
        assert first.wait(20) == -signal.SIGTERM
        assert other.poll() is None
    finally:
        for started in (first, other):
            started.kill()
            started.wait()


def test_the_wait_for_an_exit_ends_with_it():
    started = subprocess.Popen(["sleep", "0.1"])
    begun = time.monotonic()
    wait_for_exit([process(started.pid)], 60.0)
    assert time.monotonic() - begun < 50
    assert started.wait() == 0


def test_a_child_that_dies_with_its_parent(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(
        "import os, time\nfrom trainci.host.processes import die_with_parent\n"
        "parent = os.getpid()\n"
        "child = os.fork()\n"
        "if child == 0:\n    die_with_parent(parent)\n    print(os.getpid(), flush=True)\n    time.sleep(1000)\n"
        "time.sleep(1000)\n"
    )
    started = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    child = int(started.stdout.readline())
    started.kill()
    started.communicate()
    until_none(child)


# A child writes to each page of what its parent had written to; how many page faults that takes it.
WRITES = """
import os, resource
from trainci.host.processes import own_memory
pages = 2000
shared = bytearray(b"x") * (pages * resource.getpagesize())
if os.fork() == 0:
    {first}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for page in range(pages):
        shared[page * resource.getpagesize()] = 1
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, flush=True)
    os._exit(0)
os.wait()
"""


def test_what_a_fork_shares_is_a_process_own_before_its_first_write():
    def faults(first):
        words = [sys.executable, "-c", WRITES.format(first=first)]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    if tuple(map(int, platform.release().split(".")[:2])) < (5, 14):
        pytest.skip("the kernel is older than MADV_POPULATE_WRITE")
    assert faults("own_memory()") < faults("pass") / 4


@pytest.fixture
def sleeper():
    started = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    yield started
    started.kill()
    started.wait()


def test_a_process_says_who_it_is(sleeper):
    found = process(sleeper.pid)
    assert (found.parent, found.group, found.session) == (os.getpid(), sleeper.pid, sleeper.pid)
    assert found.state in "RSD"
    assert found in processes.processes()
    sleeper.kill()
    until_none(sleeper.pid)  # a zombie, which runs no more
    sleeper.wait()
    assert process(sleeper.pid) is None


@pytest.mark.parametrize("pidfd", [True, False])
def test_a_number_that_was_given_to_another_process_is_not_signalled(sleeper, monkeypatch, pidfd):
    if not pidfd:
        monkeypatch.setattr(os, "pidfd_open", refuse)
    found = process(sleeper.pid)
    former = dataclasses.replace(found, started=found.started - 1)
    former.send(signal.SIGKILL)
    end(lambda: [former] if former in processes.processes() else None, 0)
    # Had it been sent SIGKILL, it would have died of that.
    found.send(signal.SIGTERM)
    assert sleeper.wait(20) == -signal.SIGTERM
    found.send(signal.SIGKILL)


def test_without_descriptors_to_spare_everything_is_ended_all_the_same(sleeper, monkeypatch):
    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert end(lambda: [found] if (found := process(sleeper.pid)) else None, 5) == []
    assert sleeper.wait() == -signal.SIGTERM


def test_a_stopped_process_is_asked_to_end(sleeper):
    sleeper.send_signal(signal.SIGSTOP)
    assert end(lambda: [found] if (found := process(sleeper.pid)) else None, 20) == []
    assert sleeper.wait() == -signal.SIGTERM


def test_who_is_not_to_be_asked_hears_nothing_before_sigkill(sleeper):
    assert end(lambda: [found] if (found := process(sleeper.pid)) else None, 0.1, ask=False) == []
    assert sleeper.wait() == -signal.SIGKILL


def test_what_cannot_be_ended_is_told(sleeper, monkeypatch):
    monkeypatch.setattr(processes, "UNKILLABLE_AFTER_S", 0.1)
    monkeypatch.setattr(Process, "send", lambda *_: None)
    found = process(sleeper.pid)
    assert end(lambda: [found], 0.1) == [found]


MAIN_THREAD_ENDS = """
import ctypes, os, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
print(os.getpid(), flush=True)
ctypes.CDLL(None).syscall({exit}, 0)
"""


@pytest.mark.skipif(platform.machine() not in EXIT, reason="the number of exit(2) is not known")
def test_a_process_whose_main_thread_has_ended_still_runs_and_is_ended():
    """Its state is that of a zombie, but it may hold a GPU."""
    code = MAIN_THREAD_ENDS.format(exit=EXIT[platform.machine()])
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        started.stdout.readline()
        wait_until(lambda: process(started.pid).state == "Z", "the end of its main thread")
        assert process(started.pid) in descendants(os.getpid())
        assert end(lambda: [left] if (left := process(started.pid)) else None, 0) == []
    finally:
        started.kill()
        started.communicate()


def test_below_finds_a_whole_tree_even_where_parents_go_round_in_a_circle():
    tree = [Process(pid, 0, parent, 1, 1, "S") for pid, parent in ((2, 1), (3, 2), (4, 3), (5, 9), (9, 5))]
    assert [each.pid for each in processes.below([1], tree)] == [2, 3, 4]
    assert {each.pid for each in processes.below([5], tree)} == {5, 9}


def until_none(pid):
    wait_until(lambda: process(pid) is None, "its end")


def refuse(*_):
    raise OSError(errno.EMFILE, "no descriptor is left")


@pytest.mark.parametrize(
    ("ends", "expected"), [("ctypes.CDLL(None).prctl(22, 1, 0, 0, 0); os.getppid()", True), ("os.abort()", False)]
)
def test_an_end_by_seccomp_is_known_before_it_is_collected(ends, expected):
    child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", f"import ctypes, os; {ends}"])
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert processes.ended_by_seccomp(child) is expected
    finally:
        os.waitpid(child, 0)
    assert processes.ended_by_seccomp(child) is None, "it is no child any more"
