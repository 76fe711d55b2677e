"""The process tree, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from trainci.host.processes import descendants, end_found, marked, wait_for_exit

# Becomes a subreaper, lets a command start what it likes, ends it all, and says what was left.
END = """
import os, subprocess, sys, time
from trainci.host.processes import *
import signal
become_subreaper()
pipe = SignalPipe([signal.SIGCHLD])
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
while not descendants(child):
    time.sleep(0.01)
exits = []
begun = time.monotonic()
left = end_descendants(float(sys.argv[1]), pipe, lambda pid, status: exits.append(pid))
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
    process = subprocess.Popen(["sh", "-c", "setsid sh -c 'sleep 1000; true' & wait"])
    try:
        until = time.monotonic() + 20
        while len(descendants(process.pid)) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        for pid in [process.pid, *descendants(process.pid)]:
            os.kill(pid, signal.SIGKILL)
        process.wait()


def test_marked_processes_are_found_and_ended_and_no_others():
    first = subprocess.Popen(["sleep", "1000"], env={**os.environ, "TRAINCI_TEST_MARK": "outer/abc"})
    other = subprocess.Popen(["sleep", "1000"], env={**os.environ, "TRAINCI_TEST_MARK": "abcd", "X": "abc"})
    try:
        assert marked("TRAINCI_TEST_MARK", "abc") == [first.pid]
        assert end_found(lambda: marked("TRAINCI_TEST_MARK", "abc"), 5.0) == []
        assert first.wait(20) == -signal.SIGTERM
        assert other.poll() is None
    finally:
        for process in (first, other):
            process.kill()
            process.wait()


def test_the_wait_for_an_exit_ends_with_it():
    process = subprocess.Popen(["sleep", "0.1"])
    begun = time.monotonic()
    wait_for_exit([process.pid], 60.0)
    assert time.monotonic() - begun < 50
    assert process.wait() == 0


def test_a_child_that_dies_with_its_parent(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(
        "import os, time\nfrom trainci.host.processes import die_with_parent\n"
        "parent = os.getpid()\n"
        "child = os.fork()\n"
        "if child == 0:\n    die_with_parent(parent)\n    print(os.getpid(), flush=True)\n    time.sleep(1000)\n"
        "time.sleep(1000)\n"
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    process.kill()
    process.communicate()
    until = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] not in "ZX":
        assert time.monotonic() < until
        time.sleep(0.01)
