"""Tests of several nodes on a real Ray of two: where they run, what they are told, and what ends with them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import signal
import sys
from contextlib import closing
from pathlib import Path

import pytest
from ray_cluster import SECOND
from support import Nobody, alive, running, wait_until

from trainci.executors.base import Job, Wanted
from trainci.executors.ray import executor as ray
from trainci.executors.ray import member
from trainci.model import events
from trainci.model.run import Cause
from trainci.model.tests import Test

TEST = """
NUM_GPUS = 2
NUM_NODES = 2
if __name__ == "__main__":
    import os
    from trainci.testing import exec_command
    from trainci.testing.nodes import on_each_node
    exec_command(on_each_node(["sh", "-c", {script!r}]))
    assert os.environ["MASTER_PORT"]
"""
NAMES = ("TRAINCI_NODE_RANK", "PET_NODE_RANK", "TRAINCI_NODES", "TRAINCI_DEVICES", "MASTER_ADDR")
SHOWS = "echo shown " + " ".join(f"${name}" for name in NAMES)
# It leaves a process behind on each node.
LEAVES = "setsid sleep 1000 >/dev/null 2>&1 & echo $! > left-$TRAINCI_NODE_RANK"
WAITS = "echo $$ > pid-$TRAINCI_NODE_RANK; sleep 1000"
# It fails as soon as a process of either node is gone, which is before Ray knows of the node.
WATCHES = """
    import subprocess, time
    subprocess.Popen(on_each_node(["sh", "-c", "echo $$ > pid-$TRAINCI_NODE_RANK; sleep 1000"]))
    while not all(os.path.exists(f"pid-{rank}") and open(f"pid-{rank}").read() for rank in (0, 1)):
        time.sleep(0.05)
    while all(os.path.exists("/proc/" + open(f"pid-{rank}").read().strip()) for rank in (0, 1)):
        time.sleep(0.05)
    os._exit(1)
"""


@pytest.fixture
def nodes(ray_nodes, monkeypatch, tmp_path):
    for name, value in {"TRAINCI_LOCK_DIR": str(tmp_path / "locks"), **ray_nodes.environment}.items():
        monkeypatch.setenv(name, value)
    yield ray_nodes
    ray_nodes.start_second()


def write(repository, address, script, settings=""):
    said = f'[executors.ray]\naddress = "{address}"\n[verdicts]\nretries = 0\n{settings}'
    repository.write("trainci.toml", f'{said}[suites.short]\nexecutor = "ray"\ntests = ["tests/test_*.py"]\n')
    repository.write("tests/test_two.py", TEST.format(script=script))


def in_background(repository):
    return running(repository.root, ["run", "short", "--devices", "cpu:2"])


def ended(repository):
    (log,) = (repository.root / ".trainci/runs").glob("*/events.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return next(line["ending"] for line in lines if line["kind"] == "ended")


def pids(repository, name):
    files = [repository.root / f"{name}-{rank}" for rank in (0, 1)]
    wait_until(lambda: all(file.exists() and file.read_text().strip() for file in files), "both nodes to begin")
    return [int(file.read_text()) for file in files]


def above(pid):
    """The command lines of the processes above it."""
    while pid > 1:
        yield Path(f"/proc/{pid}/cmdline").read_text()
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
def test_each_node_is_told_what_it_is_and_what_a_test_leaves_on_any_is_ended(repository, nodes):
    write(repository, nodes.address, f"{SHOWS}; {LEAVES}")
    with in_background(repository) as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    shown = sorted(line.partition("shown ")[2].split() for line in out.splitlines() if " | shown " in line)
    names = shown[0][2]
    assert SECOND in names.split(",") and len(set(names.split(","))) == 2
    assert shown == [[rank, rank, names, "cpu-0,cpu-1", names.split(",")[0]] for rank in ("0", "1")]
    assert not any(map(alive, pids(repository, "left")))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["its node is killed", "it is interrupted"])
def test_what_runs_on_each_node_ends_with_the_job(repository, nodes, how):
    write(repository, nodes.address, WAITS)
    if how == "its node is killed":
        repository.write("tests/test_two.py", TEST.partition("    exec_command(")[0] + WATCHES)
    with in_background(repository) as process:
        both = pids(repository, "pid")
        raylet = f"--node_ip_address={SECOND}"
        second = [any(raylet in line.split("\0") for line in above(pid)) for pid in both]
        assert sorted(second) == [False, True], "one of them is on the second node"
        if how == "its node is killed":
            nodes.kill_second()
        else:
            process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    wait_until(lambda: not any(map(alive, both)), "the end of both, of which a node that is gone tells nobody")
    if how == "its node is killed":
        assert process.returncode == 3, out
        ending = ended(repository)
        assert ending["cause"] == "node failed", ending
        assert f"node {second.index(True)} of 2 ({SECOND}) is gone" in ending["detail"]
    else:
        assert process.returncode == 130, out


GOES_ON = """
echo $$ >> pid-$TRAINCI_NODE_RANK
while ! test -e go; do sleep 0.1; done
echo rank $TRAINCI_NODE_RANK went on
"""


@pytest.mark.slow
def test_a_run_whose_client_was_killed_amid_a_test_of_two_nodes_is_gone_on_with(repository, nodes):
    write(repository, nodes.address, GOES_ON)
    with in_background(repository) as process:
        both = pids(repository, "pid")
        process.kill()
        process.wait()
    assert all(map(alive, both)), "what runs on each node outlives its client"
    (run,) = (repository.root / ".trainci/runs").iterdir()
    with running(repository.root, ["run", "--attach", run.name]) as process:
        (repository.root / "go").touch()
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert all(f"tests/test_two.py | rank {rank} went on" in out for rank in (0, 1)), out
    assert pids(repository, "pid") == both, "each ran once"
    assert not any(map(alive, both))


class OnRay:
    """A job on a real Ray, whose events are waited for."""

    def __init__(self, executor, tmp_path, monkeypatch, name, cpus):
        # A lease directory of its own, as each host has.
        monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / f"locks-{name}"))
        self.told = queue.SimpleQueue()
        self.job = Job(Test(name, command=("sleep", "1000"), num_gpus=cpus), 1, tmp_path / f"{name}.log")
        executor.start(self.job, self.told.put, Nobody())

    def until(self, kind):
        while not isinstance(event := self.told.get(timeout=60), kind):
            continue
        return event


@pytest.mark.slow
def test_a_job_of_one_node_that_dies_is_told_as_such(nodes, tmp_path, monkeypatch):
    """The first node is full, so the second has it."""
    with closing(ray.ray_executor(Wanted(tmp_path, "cpu:30", ray_address=nodes.address))) as executor:
        full = OnRay(executor, tmp_path, monkeypatch, "full", 30)
        full.until(events.Started)
        one = OnRay(executor, tmp_path, monkeypatch, "one", 4)
        pid = one.until(events.Started).pid
        nodes.kill_second()
        ending = one.until(events.Ended).ending
        executor.stop(full.job)
        full.until(events.Ended)
    assert (ending.cause, SECOND in ending.detail) == (Cause.NODE_FAILED, True), ending
    wait_until(lambda: not alive(pid), "its process to end")


@pytest.mark.slow
def test_nodes_that_do_not_come_are_never_started_and_counted(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "_PLACE_S", 1)
    executor = ray.ray_executor(Wanted(tmp_path, "cpu:16", ray_address=nodes.address))
    told, show = queue.SimpleQueue(), Nobody()
    test = Test("a", command=("true",), num_gpus=16, num_nodes=2)
    executor.start(Job(test, 1, tmp_path / "a.log"), told.put, show)
    ending = told.get(timeout=60).ending
    executor.close()
    assert ending.cause is Cause.NEVER_STARTED
    assert "did not find 2 nodes with 16 CPU each within 1 s; 1 of its 2 could have so much" in ending.detail


ASKS = """import os, socket, sys
if sys.argv[2:]: os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as line:
    line.connect(chr(0) + sys.argv[1])
    line.sendall(b'{"rank": 0, "command": ["true"], "environment": {}, "directory": "/"}\\n')
    print(line.makefile().read())"""


@pytest.mark.parametrize("user", [(), ("65534",)])
def test_a_process_of_another_user_gets_no_command_started_on_any_node(user):
    if user and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    name = f"trainci-{os.urandom(8).hex()}"

    async def asked():
        async def relay(reader, writer):
            with contextlib.suppress(ConnectionError):
                # There is no node: who is listened to is told so.
                await member._relay(reader, writer, [None])

        async with await asyncio.start_unix_server(relay, path=f"\0{name}"):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", ASKS, name, *user, stdout=asyncio.subprocess.PIPE
            )
            return (await process.communicate())[0].decode()

    said = asyncio.run(asked())
    assert said.split() == [] if user else "exit 3" in said


def test_a_suite_that_shares_an_allocation_is_refused_with_the_ways_out(repository):
    write(repository, "http://127.0.0.1:9", "true")
    config = repository.root / "trainci.toml"
    config.write_text(f"{config.read_text()}pack = true\n")
    said = repository.trainci("run", "short", "--devices", "cpu:2", "--dry-run")
    assert said.code == 2
    assert "suite short: pack = true, and Ray has no allocation" in said.err and "--executor slurm" in said.err
    config.write_text(config.read_text().replace("pack = true", "jobs = 1"))
    assert repository.trainci("run", "short", "--devices", "cpu:2", "--dry-run").code == 0


def test_a_dry_run_prints_what_each_node_is_asked_for(repository):
    write(repository, "http://127.0.0.1:9", "true")
    said = repository.trainci("run", "short", "--devices", "cpu:2", "--dry-run")
    assert said.code == 0, said.err
    assert r"{\"count\": 2, \"share\": {\"CPU\": 2}, \"wait\": 900}" in said.out
    assert "entrypoint_num" not in said.out, "the program that asks for them needs nothing itself"
    gpus = ray.ray_executor(Wanted(repository.root)).submission(Test("a", "a", ("true",), num_gpus=2, num_nodes=2))
    assert r"\"share\": {\"CPU\": 1, \"GPU\": 2}" in gpus
