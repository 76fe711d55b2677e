"""Promise 6: a dirty device is not handed over. The probe reads files that the tests write; NVML is not asked."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import time

import pytest

from trainci.answers.gpus import Usage
from trainci.lease.store import marks
from trainci.lease.store.directory import open_directory
from trainci.lease.view import status
from trainci.model.device import Device

pytestmark = pytest.mark.slow

# A lease whose devices are asked by files: DIR/<uuid> holds the bytes in use, DIR/<uuid>.fault a sentence,
# DIR/<uuid>.xid the number of an Xid that came, DIR/<uuid>.users the
# ids of processes.
LEASE_WITH_PROBE = """
import contextlib, pathlib, sys
from trainci.errors import MachineError
from trainci.lease import command
from trainci.lease.queue import gate
from trainci.lease.store import health, outside
from trainci.lease.store.health import Probe
folder = pathlib.Path(sys.argv[1])
def read(name, default):
    path = folder / name
    return path.read_text() if path.exists() else default
command._known_to_nvml = lambda devices: True
def listen(uuids):
    return lambda: [(uuid, int(read(uuid + ".xid", 0))) for uuid in uuids if read(uuid + ".xid", "")]
@contextlib.contextmanager
def session():
    with (folder / "sessions").open("a") as file:
        file.write("opened ")
        yield
def used(uuid):
    if read(uuid + ".lost", ""):
        raise MachineError("the driver does not know it")
    return int(read(uuid, "0"))
def faults(uuid):
    return read(uuid + ".fault", "")
def users(uuid):
    return tuple(map(int, read(uuid + ".users", "").split()))
health.nvml_probe = lambda: Probe(session, used, faults, listen, users)
outside.LOOK_AGAIN_S = 1.0
health.MEMORY_RETURNS_S = gate.MEMORY_RETURNS_S = float(sys.argv[2])
sys.exit(command.main(sys.argv[3:]))
"""


@pytest.fixture
def probed(host, tmp_path):
    """Start a lease behind the gate."""
    started = []
    tmp_path.joinpath("memory").mkdir()

    def start(*arguments, within="0.3", passed=()):
        flags = host.command(*arguments)[3:]
        command = [sys.executable, "-c", LEASE_WITH_PROBE, str(tmp_path / "memory"), within, *flags]
        process = subprocess.Popen(
            command, env=host.environment, stdout=subprocess.PIPE, text=True, pass_fds=passed
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=40)


def release(uuid, lock_dir):
    return marks.release(open_directory(lock_dir), uuid)


def states(host):
    return {device.uuid: device for device in status(str(host.path)).devices}


def test_all_devices_of_a_lease_are_asked_in_one_session(probed, tmp_path):
    assert probed("--count", "8", "--", "true").wait(40) == 0
    assert (tmp_path / "memory" / "sessions").read_text().split() == ["opened"]


def test_a_device_that_somebody_uses_is_busy_outside_the_queue_and_another_serves(host, probed, tmp_path):
    (tmp_path / "memory" / "cpu-0").write_text(str(2 << 30))
    job = probed("--count", "1", "--", "sh", "-c", "echo $TRAINCI_DEVICES")
    assert job.communicate(timeout=40)[0] == "cpu-1\n"
    seen = states(host)["cpu-0"]
    assert (seen.state, seen.reason) == ("busy outside the queue", "2048 MiB in use outside the queue")
    assert "cpu-0" not in marks.quarantined(open_directory(str(host.path)))


def test_the_memory_of_all_devices_of_a_lease_is_waited_for_once(probed, tmp_path):
    for index in range(3):
        (tmp_path / "memory" / f"cpu-{index}").write_text(str(2 << 30))
    job = probed("--count", "3", "--", "sh", "-c", "echo $TRAINCI_DEVICES")
    assert job.communicate(timeout=40)[0] == "cpu-3,cpu-4,cpu-5\n"
    # At the first gate and at the next.
    assert (tmp_path / "memory" / "sessions").read_text().split() == ["opened"] * 2


@pytest.mark.parametrize("leased_before", [True, False])
def test_what_the_driver_says_is_shown_before_anybody_leases_and_where_nobody_ever_did(
    host, tmp_path, leased_before
):
    """The driver is asked by a stand-in."""
    gpu = Device(0, "GPU-a", "H100")
    directory = host.path if leased_before else tmp_path / "no such folder"
    (used,) = status(str(directory), [gpu], lambda _: Usage(2 << 30, 80 << 30, 0, (os.getpid(),))).devices
    assert used.state == "busy outside the queue"
    assert used.reason.startswith(f"2048 MiB in use outside the queue by process {os.getpid()} (")
    (idle,) = status(str(directory), [gpu], lambda _: Usage(500 << 20, 80 << 30, 0, ())).devices
    assert (idle.state, idle.reason) == ("free", "")


def test_who_uses_a_device_outside_the_queue_is_named_where_the_driver_names_him(host, probed, tmp_path):
    (tmp_path / "memory" / "cpu-0").write_text(str(2 << 30))
    (tmp_path / "memory" / "cpu-0.users").write_text(str(os.getpid()))
    job = probed("--count", "1", "--", "sh", "-c", "echo $TRAINCI_DEVICES")
    assert job.communicate(timeout=40)[0] == "cpu-1\n"
    me = pwd.getpwuid(os.getuid()).pw_name
    assert states(host)["cpu-0"].reason == f"2048 MiB in use outside the queue by process {os.getpid()} ({me})"


def test_a_device_that_was_used_outside_the_queue_clears_by_itself(host, probed, tmp_path, until):
    used = tmp_path / "memory" / "cpu-0"
    used.write_text(str(2 << 30))
    job = probed("--devices", "0", "--", "echo", "mine")
    until(
        lambda: states(host).get("cpu-0") and states(host)["cpu-0"].state == "busy outside the queue", "it is seen"
    )
    assert job.poll() is None
    # It is nobody's who holds others back.
    assert probed("--count", "7", "--", "true").wait(40) == 0
    used.write_text("0")
    assert job.communicate(timeout=40)[0] == "mine\n"
    assert states(host)["cpu-0"].state == "free"


def test_memory_that_returns_in_time_is_waited_for(host, probed, tmp_path, until):
    used = tmp_path / "memory" / "cpu-0"
    used.write_text(str(2 << 30))
    job = probed("--devices", "0", "--", "echo", "clean", within="30")
    until(lambda: states(host).get("cpu-0") and states(host)["cpu-0"].state == "held", "the gate")
    assert job.poll() is None
    used.write_text("0")
    assert job.communicate(timeout=40)[0] == "clean\n"
    assert states(host)["cpu-0"].state == "free"


def test_a_device_with_errors_is_quarantined(host, probed, tmp_path):
    (tmp_path / "memory" / "cpu-0.fault").write_text("3 uncorrectable ECC errors")
    assert probed("--count", "1", "--", "sh", "-c", "echo $TRAINCI_DEVICES").communicate(timeout=40)[0] == "cpu-1\n"
    assert states(host)["cpu-0"].reason == "3 uncorrectable ECC errors"


def test_a_device_that_reported_an_xid_while_a_job_ran_is_quarantined_and_another_serves(host, probed, tmp_path):
    xid = tmp_path / "memory" / "cpu-0.xid"
    before = time.time()
    assert probed("--count", "1", "--", "sh", "-c", f"printf 79 >{xid}; exit 7").wait(40) == 7
    bad = states(host)["cpu-0"]
    assert (bad.state, bad.reason) == ("quarantined", "Xid 79 while a job ran on it")
    assert before <= bad.since <= time.time()
    assert probed("--count", "1", "--", "sh", "-c", "echo $TRAINCI_DEVICES").communicate(timeout=40)[0] == "cpu-1\n"


@pytest.mark.parametrize("xid", [13, 31, 43])
def test_an_xid_that_a_programs_own_fault_causes_takes_no_device_away(host, probed, tmp_path, xid):
    probed("--count", "1", "--", "sh", "-c", f"printf {xid} >{tmp_path}/memory/cpu-0.xid").wait(40)
    assert states(host)["cpu-0"].state == "free"


def test_a_released_device_is_not_taken_away_again_for_the_errors_that_were_known(host, probed, tmp_path):
    """NVML counts ECC errors until the driver is loaded anew."""
    fault = tmp_path / "memory" / "cpu-0.fault"
    fault.write_text("3 uncorrectable ECC errors")
    probed("--count", "1", "--", "true").wait(40)
    assert release("cpu-0", str(host.path))
    assert probed("--devices", "0", "--", "true").wait(40) == 0
    assert states(host)["cpu-0"].state == "free"
    fault.write_text("4 uncorrectable ECC errors")
    assert probed("--devices", "0", "--timeout", "0.2", "--", "true").wait(40) == 75
    assert states(host)["cpu-0"].reason == "4 uncorrectable ECC errors"


def test_a_request_that_needs_a_quarantined_device_waits_and_says_so_until_it_is_released(host):
    host.run("--", "true")
    directory = open_directory(str(host.path))
    marks.quarantine(directory, "cpu-7", "an Xid", time.time())
    waiter = host.waiter("--count", "8")
    assert host.run("--count", "7", "--", "true").returncode == 0
    assert not waiter.has("granted")
    assert release("cpu-7", str(host.path)) is True
    code, _, err = waiter.end()
    assert code == 0
    assert "it waits for device 7: quarantined: an Xid." in err
    assert release("cpu-7", str(host.path)) is False


def test_the_ledger_outlives_every_process(host):
    host.run("--", "true")
    marks.quarantine(open_directory(str(host.path)), "cpu-3", "an Xid", 12.5)
    found = marks.quarantined(open_directory(str(host.path)))
    assert (found["cpu-3"].reason, found["cpu-3"].since) == ("an Xid", 12.5)
    assert host.run("--devices", "3", "--timeout", "0.2", "--", "true").returncode == 75


def test_a_signal_ends_a_wait_at_the_gate(host, probed, tmp_path, until):
    (tmp_path / "memory" / "cpu-0").write_text(str(2 << 30))
    job = probed("--devices", "0", "--", "true", within="1000")
    until(lambda: states(host).get("cpu-0") and states(host)["cpu-0"].state == "held", "the gate")
    os.kill(job.pid, signal.SIGTERM)
    assert job.wait(40) == 128 + signal.SIGTERM
    assert states(host)["cpu-0"].state == "free"


def seen(probed, script="exit 1"):
    """What was seen while a job ran that fails, by the report of its end."""
    reading, writing = os.pipe()
    try:
        job = ("--count", "1", "--status-fd", str(writing), "--", "sh", "-c", script)
        probed(*job, passed=(writing,)).wait(40)
    finally:
        os.close(writing)
    with os.fdopen(reading) as reports:
        return json.loads(reports.readlines()[-1])["seen"]


def test_what_is_seen_of_a_sound_device_is_told_as_no_and_what_nobody_looked_at_as_unknown(probed):
    found = seen(probed)
    sound = ("device_lost", "ecc", "foreign_memory", "dirty_handover", "clock_jumped")
    assert [found[name] for name in sound] == [False] * len(sound)
    assert found["xid"] == []
    assert found["container_restarted"] is None


@pytest.mark.parametrize(
    ("file", "text", "name", "value"),
    [
        ("cpu-0.xid", "79", "xid", [79]),
        ("cpu-0", str(2 << 30), "foreign_memory", True),
        ("cpu-0.fault", "2 uncorrectable ECC errors", "ecc", True),
        ("cpu-0.lost", "yes", "device_lost", True),
    ],
)
def test_what_broke_a_device_while_a_job_ran_is_in_the_report_of_its_end(probed, tmp_path, file, text, name, value):
    path = tmp_path / "memory" / file
    assert seen(probed, f"printf %s {text!r} > {path}; exit 1")[name] == value


def test_what_is_seen_without_a_probe_is_unknown(host):
    command = host.command("--count", "1", "--status-fd", "1", "--", "false")
    job = subprocess.run(command, env=host.environment, capture_output=True)
    assert json.loads(job.stdout.splitlines()[-1])["seen"]["device_lost"] is None
