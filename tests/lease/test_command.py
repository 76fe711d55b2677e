"""The command line: what a job sees, and the exit codes. Promise 9 too: a CPU test is given no GPU."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from trainci.errors import UsageError
from trainci.lease.command import gpu_lock_exec
from trainci.lease.options import LOCK_EXEC_PATTERN, parse, parse_lock_exec
from trainci.lease.store.directory import open_directory
from trainci.lease.store.ports import BLOCK, FIRST, take_block
from trainci.lease.supervise.environment import pick
from trainci.model.device import Device

pytestmark = pytest.mark.slow

GPUS = (
    Device(0, "GPU-8a56aaaa"),
    Device(1, "GPU-8a56bbbb"),
    Device(2, "GPU-1c5b0000"),
    Device(3, "MIG-77"),
)


# A lease on a host that has GPUs, as NVML would list them.
LEASE_OF_GPUS = """
import sys
from trainci.lease import command
from trainci.lease.store import inventory
from trainci.model.device import Device
names = "GPU-8a56aaaa GPU-8a56bbbb GPU-1c5b0000 MIG-77 MIG-88".split()
inventory.gpus = lambda directory, total: tuple(Device(index, name) for index, name in enumerate(names))
command._known_to_nvml = lambda devices: False
sys.exit(command.main(sys.argv[1:]))
"""


def variables(text):
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_the_job_sees_its_devices_and_ports(host):
    seen = variables(host.run("--devices", "1,2", "--", "env").stdout)
    assert seen["TRAINCI_DEVICES"] == "cpu-1,cpu-2"
    assert seen["CUDA_VISIBLE_DEVICES"] == ""
    assert seen["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    base, count = int(seen["TRAINCI_PORT_BASE"]), int(seen["TRAINCI_PORT_COUNT"])
    assert base <= int(seen["MASTER_PORT"]) < base + count


@pytest.mark.parametrize("streams", ["2>&-", ">&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full"])
@pytest.mark.parametrize(("count", "code"), [(1, 5), (3, 2)])
def test_streams_that_cannot_be_written_change_no_exit_code(tmp_path, streams, count, code):
    line = f"--virtual 2 --lock-dir {shlex.quote(str(tmp_path / 'locks'))} --count {count} -- sh -c 'exit 5'"
    trainci = shlex.quote(str(Path(sys.executable).parent / "trainci"))
    done = subprocess.run(["bash", "-c", f"{trainci} lease {line} {streams}"], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$trainci --lock-dir $'locks\\xff' --count 1 -- sh -c 'exit 5'", 5, ""),
        ("ln -s nowhere locks; $trainci --lock-dir locks --count 1 -- true", 3, "locks: No such file"),
        (
            "mkdir a; cd a; rmdir ../a; $trainci --lock-dir $OLDPWD/locks -- true",
            3,
            "the current directory: No such",
        ),
    ],
)
def test_a_strange_place_is_used_or_named(tmp_path, line, code, said):
    trainci = f"{shlex.quote(sys.executable)} -m trainci.lease --virtual 2"
    script = line.replace("$trainci", trainci)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr


def test_the_job_sees_when_its_time_limit_is_over(host):
    before = time.monotonic()
    seen = variables(host.run("--time-limit", "500", "--", "env").stdout)
    assert before + 500 <= float(seen["TRAINCI_DEADLINE"]) <= time.monotonic() + 500
    assert "TRAINCI_DEADLINE" not in variables(host.run("--", "env").stdout)


def test_a_cpu_test_is_given_no_gpu(host):
    done = subprocess.run(
        [sys.executable, "-m", "trainci.lease", "--lock-dir", host.path, "--count", "0", "--", "env"],
        env={**host.environment, "CUDA_VISIBLE_DEVICES": "0,1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert variables(done.stdout)["CUDA_VISIBLE_DEVICES"] == ""


def test_gpus_by_number_where_there_is_no_driver(host):
    command = [sys.executable, "-m", "trainci.lease", "--lock-dir", host.path, "--total-gpus", "4"]
    outer = {**host.environment, "CUDA_VISIBLE_DEVICES": "2,3"}
    done = subprocess.run(
        [*command, "--count", "1", "--", "env"], env=outer, capture_output=True, text=True, check=True
    )
    assert variables(done.stdout)["CUDA_VISIBLE_DEVICES"] == "2"
    outside = subprocess.run([*command, "--devices", "0", "--", "true"], env=outer, capture_output=True, text=True)
    assert outside.returncode == 2
    assert "'0' is not one of those that can be used here (2,3)" in outside.stderr
    named = subprocess.run(
        [*command, "--target-env-name", "HIP_VISIBLE_DEVICES", "--devices", "3,0", "--", "env"],
        env=host.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert variables(named.stdout)["HIP_VISIBLE_DEVICES"] == "3,0"


@pytest.mark.parametrize(
    ("outer", "arguments", "seen"),
    [
        ("GPU-8a56bbbb,GPU-8a56aaaa", ("--count", "1"), "GPU-8a56aaaa"),
        ("GPU-8a56bb", ("--count", "1"), "GPU-8a56bbbb"),
        ("3", ("--count", "1"), "MIG-77"),
        ("MIG-77,MIG-88", ("--devices", "MIG-88"), "MIG-88"),
        ("2,1", ("--devices", "1"), "1"),
        (None, ("--devices", "GPU-1c5b0000"), "2"),
    ],
)
def test_the_job_sees_its_devices_in_the_way_of_the_inherited_variable(host, outer, arguments, seen):
    environment = host.environment if outer is None else {**host.environment, "CUDA_VISIBLE_DEVICES": outer}
    command = [sys.executable, "-c", LEASE_OF_GPUS, "--lock-dir", host.path, *arguments, "--", "env"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert variables(done.stdout)["CUDA_VISIBLE_DEVICES"] == seen, done.stderr


@pytest.mark.parametrize(
    ("outer", "arguments"),
    [
        ("GPU-8a56bbbb", ("--devices", "0")),
        ("MIG-88", ("--count", "2")),
        ("1,1", ("--count", "1")),
        ("", ("--count", "1")),
    ],
)
def test_a_device_outside_the_inherited_variable_can_never_be_had(host, outer, arguments):
    command = [sys.executable, "-c", LEASE_OF_GPUS, "--lock-dir", host.path, *arguments, "--", "true"]
    environment = {**host.environment, "CUDA_VISIBLE_DEVICES": outer}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    if "--count" in arguments:
        assert f"CUDA_VISIBLE_DEVICES={outer!r}" in done.stderr


def test_devices_are_named_by_number_or_uuid():
    assert [place.index for place in pick(GPUS, "GPU-1c5b0000, 0,2")] == [2, 0]
    with pytest.raises(UsageError):
        pick(GPUS, "7")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--count", "9", "--", "true"),
        ("--devices", "8", "--", "true"),
        ("--devices", "0", "--count", "1", "--", "true"),
        ("--count", "-1", "--", "true"),
        ("--count", "two", "--", "true"),
        ("--timeout", "nan", "--", "true"),
        ("--time-limit", "0", "--", "true"),
        ("--lock-path-pattern", "/no/such/folder/{gpu_id}", "--", "true"),
        ("--lock-path-pattern", "/tmp/one-for-all", "--", "true"),
        ("--target-env-name", "A=B", "--", "true"),
        ("--target-env-name", "", "--", "true"),
        ("--status-fd", "99", "--", "true"),
        ("--virtual", "1025", "--", "true"),
        ("--total-gpus", "0", "--", "true"),
        ("--devices", "", "--", "true"),
        ("--nonsense", "--", "true"),
        ("--count",),
        (),
    ],
)
def test_a_request_that_can_never_be_met_is_refused_at_once(host, arguments):
    host.holder("--count", "8")
    done = host.run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("trainci lease: ")
    assert "Traceback" not in done.stderr


def test_count_0_is_for_the_runner_only(host):
    program = "import sys; from trainci.lease.command import main; sys.exit(main(sys.argv[1:]))"
    flags = ["--lock-dir", host.path, "--virtual", "2", "--count", "0", "--", "true"]
    done = subprocess.run([sys.executable, "-c", program, *flags], capture_output=True, text=True)
    assert done.returncode == 2


def test_a_lease_within_a_lease_uses_what_the_outer_one_holds(host):
    inner = host.command("--count", "2", "--", "env")
    done = host.run("--devices", "3,5", "--", *inner)
    assert variables(done.stdout)["TRAINCI_DEVICES"] == "cpu-3,cpu-5", done.stderr
    assert not list((host.path / "nested").iterdir())
    deeper = host.command("--count", "1", "--", *host.command("--count", "1", "--", "env"))
    # Without --lock-dir, as a person would type it.
    deeper = [part for part in deeper if part not in ("--lock-dir", str(host.path))]
    done = host.run("--devices", "3,5", "--", *deeper)
    assert variables(done.stdout)["TRAINCI_DEVICES"] == "cpu-3", done.stderr
    assert variables(done.stdout)["TRAINCI_LEASE"].count("/") == 2


# Each says that it is in, and fails where another is in with its device.
ONE_AT_A_TIME = "mkdir $0/$TRAINCI_DEVICES && sleep 0.2 && rmdir $0/$TRAINCI_DEVICES"


def test_leases_within_a_lease_take_turns(host, tmp_path):
    inner = shlex.join(host.command("--count", "1", "--", "sh", "-c", ONE_AT_A_TIME, str(tmp_path)))
    crowd = "".join(f"{inner} & p{i}=$!; " for i in range(4)) + " && ".join(f"wait $p{i}" for i in range(4))
    done = host.run("--devices", "1,2", "--", "sh", "-c", crowd)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [(("--devices", "4"), "device '4' is not one"), (("--count", "3"), "3 devices can never be had")],
)
def test_a_lease_within_a_lease_never_gets_more_than_the_outer_one_holds(host, flags, said):
    done = host.run("--devices", "3,5", "--", *host.command(*flags, "--", "true"))
    assert done.returncode == 2
    assert said in done.stderr and "which holds cpu-3, cpu-5." in done.stderr


def test_a_run_within_a_lease_uses_what_the_lease_holds(host, tmp_path):
    repository = tmp_path / "repository"
    (repository / "tests").mkdir(parents=True)
    for name, count in (("one", 1), ("two", 2)):
        (repository / "tests" / f"test_{name}.py").write_text(f"NUM_GPUS = {count}\n\ndef test_it():\n    pass\n")
    (repository / "trainci.toml").write_text('[suites.short]\ntests = ["tests/test_one.py", "tests/test_two.py"]\n')
    run = [sys.executable, "-m", "trainci", "run", "short", "--devices", "cpu:8"]
    done = host.run("--devices", "2,3", "--", "env", "-C", str(repository), *run)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_device_that_nvml_cannot_reach_is_not_leased(host):
    lease = LEASE_OF_GPUS.replace("GPU-8a56aaaa GPU-8a56bbbb", "unreachable-0").replace("MIG-77 MIG-88", "")
    base = [sys.executable, "-c", lease, "--lock-dir", host.path]
    for flags in (("--count", "2"), ("--devices", "0")):
        done = subprocess.run([*base, *flags, "--", "true"], env=host.environment, capture_output=True, text=True)
        assert done.returncode == 3
        assert "NVML cannot reach device 0" in done.stderr
    done = subprocess.run([*base, "--", "env"], env=host.environment, capture_output=True, text=True)
    assert variables(done.stdout)["TRAINCI_DEVICES"] == "GPU-1c5b0000"


@pytest.mark.parametrize(
    ("inherited", "seen"),
    [
        ({"CUDA_VISIBLE_DEVICES": "1,2", "HIP_VISIBLE_DEVICES": "1, 2"}, {"HIP_VISIBLE_DEVICES": "1"}),
        ({"CUDA_VISIBLE_DEVICES": "1,2", "ROCR_VISIBLE_DEVICES": "1,2"}, {"ROCR_VISIBLE_DEVICES": None}),
        ({"CUDA_VISIBLE_DEVICES": "1,2", "HIP_VISIBLE_DEVICES": "0"}, None),
        ({"HIP_VISIBLE_DEVICES": "0"}, None),
        ({"CUDA_VISIBLE_DEVICES": "1", "ROCR_VISIBLE_DEVICES": ""}, None),
    ],
)
def test_device_variables_of_other_vendors_say_the_same_or_are_refused(host, inherited, seen):
    command = [sys.executable, "-c", LEASE_OF_GPUS, "--lock-dir", host.path, "--", "env"]
    done = subprocess.run(command, env={**host.environment, **inherited}, capture_output=True, text=True)
    if seen is None:
        assert done.returncode == 2
        assert "contradict" in done.stderr or "CUDA_VISIBLE_DEVICES is not" in done.stderr
    else:
        assert {name: variables(done.stdout).get(name) for name in seen} == seen, done.stderr


def test_a_job_without_a_device_sees_none_by_any_variable(host):
    command = [sys.executable, "-m", "trainci.lease", "--lock-dir", host.path, "--count", "0", "--", "env"]
    inherited = {"HIP_VISIBLE_DEVICES": "1", "ROCR_VISIBLE_DEVICES": "0"}
    done = subprocess.run(command, env={**host.environment, **inherited}, capture_output=True, text=True)
    seen = variables(done.stdout)
    assert [seen[f"{name}_VISIBLE_DEVICES"] for name in ("CUDA", "HIP", "ROCR")] == ["", "", ""]


def test_exit_codes_are_the_commands_own(host):
    assert host.run("--", "sh", "-c", "exit 37").returncode == 37
    assert host.run("--", "sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL
    assert host.run("--", "no-such-command").returncode == 127
    assert host.run("--", "/dev/null").returncode == 126


def test_a_time_limit_beyond_what_poll_takes_is_one(host):
    assert host.run("--time-limit", "1e9", "--grace", "1e9", "--", "true").returncode == 0


def test_75_when_the_devices_did_not_come_in_time(host):
    host.holder("--count", "8")
    assert host.run("--count", "1", "--timeout", "0.1", "--", "true").returncode == 75
    assert host.tickets() == []


def test_reports_are_json(host):
    job = host.start("--count", "2", "--", "true")
    assert job.wait() == 0
    granted, started, ended = job.event("granted"), job.event("started"), job.event("ended")
    assert (granted["devices"], granted["indices"]) == (["cpu-0", "cpu-1"], [0, 1])
    assert started["pid"] > 0
    assert (ended["code"], ended["time_limit"]) == (0, False)


def test_the_report_of_an_end_says_whether_it_was_ordered(host):
    """A command that heeds SIGTERM may exit with 0, as one does that nobody ended."""
    script = "trap 'exit 0' TERM; echo there; while :; do sleep 0.01; done"
    job = host.start("--count", "1", "--", "bash", "-c", script)
    job.process.stdout.readline()
    job.process.send_signal(signal.SIGTERM)
    ended = job.event("ended")
    assert (ended["code"], ended["ordered"]) == (0, True)
    ended = host.start("--count", "1", "--", "true").event("ended")
    assert (ended["code"], ended["ordered"]) == (0, False)


def can_be_taken(base, path):
    """Is this block of ports free?"""
    found, descriptors = take_block(open_directory(str(path)), (base - FIRST) // BLOCK)
    for descriptor in descriptors:
        os.close(descriptor)
    return found == base


def test_ports_are_no_other_leases_whatever_its_lock_directory(host, tmp_path):
    for seed in range(8):
        host.path = tmp_path / f"locks-{seed % 2}"
        host.holder("--devices", str(seed))
    taken = {job.event("granted")["port_base"] for job in host.jobs}
    assert len(taken) == 8
    assert not any(can_be_taken(base, tmp_path / "other") for base in taken)


def test_ports_are_held_by_every_process_of_the_job_and_free_with_the_last(host, until):
    job = host.holder()
    base = job.event("granted")["port_base"]
    os.kill(job.supervisor, signal.SIGSTOP)
    job.process.kill()
    assert not can_be_taken(base, host.path)
    os.kill(job.supervisor, signal.SIGCONT)
    until(lambda: can_be_taken(base, host.path), "the ports")


def test_a_block_whose_first_port_is_taken_is_passed_over(tmp_path, until):
    base, descriptors = take_block(open_directory(str(tmp_path)), 7)
    for descriptor in descriptors:
        os.close(descriptor)
    with socket.socket() as server:
        server.bind(("", base + 1))
        assert not can_be_taken(base, tmp_path)
    until(lambda: can_be_taken(base, tmp_path), "the block, which others of this host may take meanwhile")


# What is imported by a lease from its start to its end, whether it has to wait or not.
LEASE_AND_TELL = """
import os, sys
from trainci.lease import command
def tell(code, exit=os._exit):
    print(*sys.modules, file=sys.stderr)
    exit(code)
command.os._exit = tell
sys.exit(command.main(sys.argv[1:]))
"""
HEAVY = {"click", "pydantic", "rich", "jinja2", "junitparser", "sqlite3", "psutil", "pynvml", "logging", "asyncio"}


def test_a_lease_imports_no_heavy_library(host):
    """``trainci lease`` is started for every test of a run."""
    command = [sys.executable, "-c", LEASE_AND_TELL, *host.command("--", "true")[3:]]
    done = subprocess.run(command, env=host.environment, capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "trainci.lease.supervise.wrapper" in loaded
    assert HEAVY & loaded == set()


def test_no_nvml_is_loaded_on_a_host_without_a_driver(host):
    """It would cost each lease by number 45 ms, and find nothing."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        flags = ["--lock-dir", str(host.path), "--total-gpus", "4", "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES"]
        command = [sys.executable, "-c", LEASE_AND_TELL, *flags]
        done = subprocess.run(command, env=host.environment, capture_output=True, text=True, check=True)
        assert done.stdout == "0\n"
        assert "pynvml" not in done.stderr.split()
    else:
        pytest.skip("there is a driver here")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nonsense", "--", "true"], "there is no option --nonsense."),
        (["--coun", "1", "--", "true"], "there is no option --coun. Did you mean --count"),
        (["--wait-timeout=3", "--", "true"], "there is no option --wait-timeout. Did you mean --timeout"),
        (["--count"], "argument --count: expected one argument"),
        (["--count", "two", "--", "true"], "argument --count: 'two' is not a whole number"),
        (["--timeout", "soon", "--", "true"], "argument --timeout: 'soon' is not a number of seconds"),
        (["--grace", "-1", "--", "true"], "argument --grace: '-1': that many seconds make no sense here"),
        (["--virtual", "121", "--", "true"], "argument --virtual: 121: a host has 1 to 120 devices"),
        (["--count", "1"], "there is no command to run: put it after `--`"),
        (["--count", "1", "--devices", "0", "--", "true"], "--count and --devices exclude each other"),
    ],
)
def test_what_is_wrong_with_a_flag_is_said_in_a_sentence(arguments, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        parse(arguments)


def test_a_command_is_taken_as_it_is_typed():
    for command in (["true"], ["sh", "-c", "x", "--", "--count", "3"], ["a", "--help", "-h", "--nonsense"]):
        assert parse(["--count", "2", "--", *command]).command == command
        assert parse(["--count", "2", *command]).command == command
        assert parse(["--print-only", "--", *command]).command == command
    assert parse(["--", "--count"]).command == ["--count"]
    assert parse(["--name=-x", "true"]).name == "-x"


@pytest.mark.parametrize("program", [parse, parse_lock_exec])
def test_help_shows_each_flag(program):
    shown = program(["--help"]).help
    assert shown.startswith("usage: ")
    for flag in ("--count", "--devices", "--timeout", "--total-gpus", "--lock-path-pattern", "--print-only"):
        assert f"  {flag} " in shown


def test_the_flags_and_defaults_of_the_original(host):
    options = parse_lock_exec(["--count", "4", "--", "python", "x.py", "--count", "9"])
    assert (options.count, options.total_gpus, options.timeout) == (4, 8, 86400.0)
    assert options.lock_path_pattern == LOCK_EXEC_PATTERN == "/dev/shm/custom_gpu_lock_{gpu_id}.lock"
    assert options.command == ["python", "x.py", "--count", "9"]
    assert parse(["--count=2", "true"]).command == ["true"]


@pytest.fixture
def lock_exec(host, tmp_path):
    """`gpu-lock-exec` as its console script starts it, and its lock files."""
    pattern = str(tmp_path / "gpu_{gpu_id}.lock")
    program = "import sys; from trainci.lease.command import gpu_lock_exec; sys.exit(gpu_lock_exec())"
    flags = [sys.executable, "-c", program, "--lock-path-pattern", pattern]
    environment = {**host.environment, "TRAINCI_LOCK_DIR": str(host.path), "container": ""}

    def run(*arguments):
        return subprocess.run([*flags, *arguments], env=environment, capture_output=True, text=True, timeout=40)

    host.path.mkdir()
    return run


def test_gpu_lock_exec_and_the_original_exclude_each_other(lock_exec, tmp_path):
    """The original takes an exclusive flock on the same files; flock(1) does just that."""
    stranger = subprocess.Popen(
        ["flock", tmp_path / "gpu_0.lock", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    stranger.stdout.readline()
    done = lock_exec("--count", "1", "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    assert done.stdout == "[gpu_lock_exec] Acquired GPUs: 1\n1\n"
    assert lock_exec("--print-only").stdout == "Free GPUs: 1,2,3,4,5,6,7\n"
    assert lock_exec("--devices", "0", "--timeout", "0", "--", "true").returncode == 75
    stranger.communicate()
    probe = f"flock --nonblock {tmp_path}/gpu_0.lock true || echo held"
    assert lock_exec("--devices", "0", "--", "sh", "-c", probe).stdout.endswith("held\n")


def test_gpu_lock_exec_heeds_the_number_of_gpus_and_the_name_of_the_variable(lock_exec):
    assert lock_exec("--count", "9", "--", "true").returncode == 2
    assert lock_exec("--total-gpus", "2", "--count", "3", "--", "true").returncode == 2
    assert lock_exec("--total-gpus", "2", "--print-only").stdout == "Free GPUs: 0,1\n"
    seen = lock_exec("--devices", "9", "--target-env-name", "HIP_VISIBLE_DEVICES", "--", "env")
    assert variables(seen.stdout)["HIP_VISIBLE_DEVICES"] == "9"
    assert lock_exec("--count", "1", "--", "sh", "-c", "exit 7").returncode == 7


def test_gpu_lock_exec_is_a_console_script():
    (script,) = (entry for entry in entry_points(group="console_scripts") if entry.name == "gpu-lock-exec")
    assert script.load() is gpu_lock_exec


def test_trainci_lease_takes_the_locks_of_a_pattern_too(host, tmp_path):
    """Whatever takes its flock on those files is waited for, and waits."""
    pattern = str(tmp_path / "lock_{gpu_id}")
    with (tmp_path / "lock_2").open("w") as stranger:
        fcntl.flock(stranger, fcntl.LOCK_EX)
        assert (
            host.run("--lock-path-pattern", pattern, "--devices", "2", "--timeout", "0.2", "--", "true").returncode
            == 75
        )
        assert host.run("--lock-path-pattern", pattern, "--count", "7", "--", "true").returncode == 0
        waiter = host.waiter("--lock-path-pattern", pattern, "--count", "8")
    assert waiter.wait() == 0
    host.holder("--lock-path-pattern", pattern, "--devices", "5")
    with (tmp_path / "lock_5").open("w") as stranger, pytest.raises(BlockingIOError):
        fcntl.flock(stranger, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_gpu_lock_exec_needs_to_be_told_how_many(lock_exec):
    assert lock_exec("--", "true").returncode == 2


# What takes long to import, or is for a few leases only.
OF_OTHERS = {"click", "tempfile", "trainci.model.diagnosis", "trainci.model.look"} | {
    f"trainci.lease.store.{name}" for name in ("ledger", "settings")
}


def test_a_lease_imports_nothing_that_only_others_need(host):
    """It wraps commands that take no time at all."""
    words = host.command("--", "true")
    words[1:1] = ["-X", "importtime"]
    done = subprocess.run(words, env=host.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "trainci.lease.command" in imported
    assert imported & OF_OTHERS == set()


# Its first argument is what may still be written, below /mnt.
NO_TEMPORARY_FILES = """
mount --bind "$1" /mnt
for folder in /tmp /var/tmp; do
    mount --bind $folder $folder && mount -o remount,bind,ro $folder || exit 99
done
cd /tmp
shift
exec "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_command_that_fails_keeps_its_exit_code_where_no_temporary_file_can_be_made(host, tmp_path):
    if subprocess.run(["unshare", "--mount", "mount", "--bind", tmp_path, "/mnt"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    host.path = Path("/mnt/locks")
    environment = {name: text for name, text in host.environment.items() if name not in ("TMPDIR", "TEMP", "TMP")}
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            NO_TEMPORARY_FILES,
            "sh",
            tmp_path,
            *host.command("--", "sh", "-c", "exit 7"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 7, done.stderr
    assert list((tmp_path / "locks" / "leases").iterdir()) == []
