"""Promise 5: at the end of the command, at a signal, at the time limit, every descendant ends; nobody else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import ENDS_SLOWLY

from trainci.host import cgroup, processes
from trainci.host.processes import Process

pytestmark = pytest.mark.slow

needs_cgroup = pytest.mark.skipif(
    not cgroup.path_for("0"), reason="no cgroup can be made here: that takes cgroup v2 and root, or a delegated one"
)

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
    for limit in ("2", "20"):
        job = host.start("--time-limit", limit, "--grace", "0.3", "--", *daemon(pid_file, "deaf", "stay"))
        assert job.wait() == 128 + signal.SIGTERM
        assert job.event("ended")["time_limit"] is True
        # On a busy host the limit may be over before the daemon is born.
        if pid_file.exists():
            break
    assert not is_alive(int(pid_file.read_text()))


def test_a_command_that_ends_well_when_its_time_is_up_is_no_success(host):
    job = host.start("--time-limit", "1", "--", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")
    assert job.wait() == 124
    assert job.event("ended")["time_limit"] is True


def test_politely_first(host, tmp_path):
    said = tmp_path / "said"
    script = f'trap "sleep 0.2; echo bye >{said}; exit 5" TERM; echo ready; while :; do sleep 0.05; done'
    job = host.holder(command=("sh", "-c", script))
    job.process.stdout.readline()
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
    job = host.holder("--grace", "0.3", command=("sh", "-c", "sleep 1000 & kill -STOP $!; echo ready; wait"))
    job.process.stdout.readline()
    command = job.event("started")["pid"]
    job.process.terminate()
    job.wait()
    assert not is_alive(command)


def test_a_stopped_supervisor_is_replaced(host, is_alive, monkeypatch):
    job = host.holder("--grace", "0.3")
    os.kill(job.supervisor, signal.SIGSTOP)
    job.process.terminate()
    assert job.wait() == 128 + signal.SIGTERM
    assert not is_alive(job.event("started")["pid"])


def test_unrelated_processes_are_never_touched(host, is_alive):
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        job = host.holder("--grace", "0.3", command=("sh", "-c", 'trap "" TERM; echo ready; sleep 1000'))
        job.process.stdout.readline()
        job.process.terminate()
        job.wait()
        assert is_alive(bystander.pid)
    finally:
        bystander.kill()
        bystander.wait()


def test_the_streams_close_with_the_command(host):
    """Whoever reads the output of a lease sees its end, though the supervisor had the same streams."""
    done = subprocess.run(
        host.command("--", "echo", "hello"), env=host.environment, capture_output=True, timeout=40
    )
    assert done.stdout == b"hello\n"


# Everything by which it could be found is gone but its cgroup: parents, session, environment, descriptors.
NAMELESS = f"""
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(3, 100)
        os.execve(sys.executable, [sys.executable, "-c", {ENDS_SLOWLY!r}, *sys.argv[1:]], {{}})
    os._exit(0)
os.wait()
time.sleep(1000)
"""


def cgroup_of(pid):
    return Path(f"/proc/{pid}/cgroup").read_text().rpartition("0::")[2].strip()


@needs_cgroup
def test_a_nameless_orphan_that_nobody_watches_over_ends_before_the_device_is_handed_on(
    host, tmp_path, until, is_alive
):
    pid_file, gone = tmp_path / "pid", tmp_path / "gone"
    job = host.holder("--count", "8", command=(sys.executable, "-c", NAMELESS, str(pid_file), str(gone)))
    orphan = int(until(lambda: pid_file.exists() and pid_file.read_text(), "the orphan"))
    until(lambda: "/trainci-" in cgroup_of(orphan), "the move into the job's cgroup")
    group = Path(cgroup.path_for("0")).parent / cgroup_of(orphan).rpartition("/")[2]
    next_one = host.waiter("--count", "8", command=("cat", str(gone)))
    for pid in (job.supervisor, job.pid, job.event("started")["pid"]):
        os.kill(pid, signal.SIGKILL)
    assert next_one.end()[:2] == (0, "gone"), "the next job started beside a process of the first"
    assert not is_alive(orphan)
    assert not group.exists()


@needs_cgroup
@pytest.mark.parametrize("killed", ["nobody", "the wrapper", "the supervisor"])
def test_the_cgroup_of_a_job_is_removed_after_it(host, until, killed):
    job = host.holder("--grace", "0.3")
    command = job.event("started")["pid"]
    until(lambda: "/trainci-" in cgroup_of(command), "the move into the job's cgroup")
    group = Path(cgroup.path_for("0")).parent / cgroup_of(command).rpartition("/")[2]
    assert cgroup_of(job.pid) == cgroup_of(job.supervisor) == cgroup_of(os.getpid())
    os.kill({"nobody": command, "the wrapper": job.pid, "the supervisor": job.supervisor}[killed], signal.SIGKILL)
    until(lambda: not group.exists(), "the end of the cgroup")


@needs_cgroup
def test_what_a_job_started_before_it_was_moved_is_moved_too():
    id = os.urandom(6).hex()
    path = cgroup.path_for(id)
    started = subprocess.Popen(["sh", "-c", "sleep 1000 & sh -c 'sleep 1000 & echo; wait'"], stdout=subprocess.PIPE)
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        started.stdout.readline()
        assert cgroup.make(path)
        cgroup.adopt(path, started.pid)
        assert len(cgroup.members(path)) == 3
        assert cgroup.end(path)
        assert cgroup.members(path) == []
        assert bystander.poll() is None
    finally:
        for process in (started, bystander):
            process.kill()
            process.wait()
        cgroup.remove(path)
    assert not Path(path).exists()


def test_a_record_cannot_name_a_cgroup_of_others():
    own = "/sys/fs/cgroup/user.slice/trainci-abc"
    assert cgroup.checked(own, "abc", 0) == own
    assert cgroup.checked(own, "abc", 65534) == ""
    for other in (
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/system.slice",
        "/tmp/trainci-abc",
        f"{own}/..",
        f"{own}/../trainci-abc",
    ):
        assert cgroup.checked(other, "abc", 0) == ""


def test_what_is_born_between_two_looks_is_moved_into_the_cgroup_too(tmp_path, monkeypatch):
    """It is left by its parent while /proc is read: the first look finds neither."""
    orphan = Process(4711, 1, 1, 1, 1, "S")
    looks = iter([[], [orphan], [orphan], [orphan]])
    monkeypatch.setattr(cgroup, "descendants", lambda root: next(looks))
    (tmp_path / "cgroup.procs").touch()
    cgroup.adopt(str(tmp_path), os.getpid())
    assert (tmp_path / "cgroup.procs").read_text() == "4711"


def test_a_child_that_proc_does_not_show_is_not_nothing(monkeypatch):
    """As under hidepid: the kernel says that a child is left, /proc shows none."""
    child = subprocess.Popen(["sleep", "100"])
    monkeypatch.setattr(processes, "descendants", lambda root: [])
    monkeypatch.setattr(processes, "UNKILLABLE_AFTER_S", 0.2)
    assert processes.end_descendants(0.1, lambda pid, status: None) == [processes.UNSEEN]
    child.kill()
    child.wait()
