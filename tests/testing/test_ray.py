"""execute_train(launcher="ray") on real Ray clusters."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import wait_until

from trainci.errors import MachineError, UsageError
from trainci.testing import CommandError, execute_train, ray_cluster, ray_node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

TRAIN = """
import json, os, sys, time
import ray

ray.init()

@ray.remote
def task():
    return os.environ.get("ADDED")

def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.1)

told = {"argv": sys.argv[1:], "cwd": os.getcwd(), "task": ray.get(task.remote()), "nodes": len(ray.nodes())}
print("told " + json.dumps({**told, "gpus": ray.cluster_resources().get("GPU", 0)}), flush=True)
name = os.environ.get("NAME")
if name:
    open(f"{name}-runs", "w").close()
    wait_for(f"{name}-may-end")
    print("still there:", ray.get(task.remote()))
sys.exit(int(os.environ.get("CODE", "0")))
"""
TEST = """
from trainci.testing import execute_train, main
main(lambda: None, lambda: execute_train("train.py", [], num_gpus_per_node=1, launcher="ray", env={"ADDED": "yes"}))
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = ("TRAINCI_DEVICES", "TRAINCI_PORT_BASE", "TRAINCI_PORT_COUNT", "RAY_ADDRESS")
    for name in (*names, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_JOB_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    # The user's own token, at which Ray 2.60 and later switch token authentication on by themselves.
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("the-users-own-token")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "test_it.py").write_text(TEST)
    return tmp_path


def told(printed: str) -> dict[str, Any]:
    return json.loads(next(line for line in printed.splitlines() if line.startswith("told "))[5:])  # type: ignore[no-any-return]


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a process in the project, and ends it when the test is over, however that went."""
    with contextlib.ExitStack() as stack:

        def run(*command: str, **environment: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(command, cwd=project, env={**os.environ, **environment})
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        yield run


def leased(project: Path) -> tuple[str, ...]:
    """A test under a lease of no device, which has a block of ports all the same."""
    lease = ("-m", "trainci.lease", "--lock-dir", str(project / "locks"), "--count", "0", "--")
    return (sys.executable, *lease, sys.executable, "test_it.py")


def wait_for(condition: Callable[[], object], *processes: subprocess.Popen[bytes]) -> None:
    """Wait, as long as ``processes`` run: on a busy host a cluster takes minutes to come up."""

    def holds() -> bool:
        if condition():
            return True
        assert [process.poll() for process in processes] == [None] * len(processes), "it ended before"
        return False

    wait_until(holds, "what the test waits for", 600)


def tree(process: subprocess.Popen[bytes] | psutil.Process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def listening(processes: list[psutil.Process]) -> set[int]:
    ports = set()
    for process in processes:
        try:
            ports |= {c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        except psutil.NoSuchProcess:
            continue
    return ports


def block(processes: list[psutil.Process]) -> range:
    variables = next(p.environ() for p in processes if "TRAINCI_PORT_BASE" in p.environ())
    base = int(variables["TRAINCI_PORT_BASE"])
    return range(base, base + int(variables["TRAINCI_PORT_COUNT"]))


def test_a_job_has_a_cluster_of_its_own_and_a_failed_one_shows_its_exit_code(project: Path) -> None:
    args = ["--name", "a b", "$(id)"]
    with pytest.raises(CommandError) as failure:
        execute_train("train.py", args, num_gpus_per_node=2, launcher="ray", env={"ADDED": "yes", "CODE": "7"})
    assert failure.value.code == 7
    assert str(failure.value).startswith("the Ray job failed with exit code 7: ")
    expected = {"argv": args, "cwd": str(project), "task": "yes", "nodes": 1, "gpus": 0}
    assert told(failure.value.output) == expected


def test_no_token_of_the_user_makes_a_difference(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of variables, as a pod of KubeRay has it, one that is switched off, and none in the home directory."""
    (project / "home" / ".ray" / "auth_token").unlink()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "the-users-own-token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(project / "not-there"))
    monkeypatch.setenv("RAY_JOB_HEADERS", '{"Authorization": "Bearer the-users-own-token"}')
    monkeypatch.setattr(ray_cluster, "TRIES", 1)
    printed = execute_train("train.py", [], num_gpus_per_node=1, launcher="ray", env={"ADDED": "yes"})
    assert told(printed)["task"] == "yes"


def test_a_cluster_answers_only_those_who_know_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    if tuple(map(int, importlib.metadata.version("ray").split(".")[:2])) < (2, 52):
        pytest.skip("this Ray has no token")
    stranger = "import ray, sys; ray.init(sys.argv[1]); print('let in')"
    # Who switches tokens off for clusters of his own has not done so for this one.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with ray_cluster.ray_cluster(1, {}) as cluster:
        monkeypatch.delenv("RAY_AUTH_MODE")
        token = Path(cluster.variables["RAY_AUTH_TOKEN_PATH"])
        assert token.parent.stat().st_mode & 0o777 == 0o700
        # Other tests' clusters may run at the same time; the directory is this one's alone.
        commands = (" ".join(process.cmdline()) for process in tree(psutil.Process()))
        words = next(words for words in commands if "gcs_server" in words and str(token.parent) in words)
        port = re.search(r"--gcs_server_port=(\d+)", words)
        assert port, words
        submit = ray_node.ray_command("job", "submit", "--address", cluster.address, "--", "true")
        for command in (submit, [sys.executable, "-c", stranger, f"127.0.0.1:{port[1]}"]):
            refused = subprocess.run(command, capture_output=True, text=True)
            assert refused.returncode != 0
            assert re.search("(?i)token|authenticat", refused.stderr + refused.stdout)
            known = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **cluster.variables})
            assert known.returncode == 0, known.stderr
    assert not token.exists()


def test_two_at_once_do_not_meet_and_the_end_of_one_leaves_the_other_alone(
    project: Path, alive: Callable[[int], bool], start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """One is of two virtual nodes, the other of one node."""
    nodes = {"one": "node-0,node-1", "other": ""}
    tests = {
        name: start(*leased(project), NAME=name, TRAINCI_NODES=nodes[name], MASTER_ADDR="127.0.0.1")
        for name in nodes
    }
    wait_for(lambda: all((project / f"{name}-runs").exists() for name in tests), *tests.values())
    trees = {name: tree(test) for name, test in tests.items()}
    ports = {name: listening(processes) for name, processes in trees.items()}
    assert ports["one"], "a cluster listens"
    assert ports["one"] <= set(block(trees["one"]))
    assert ports["other"] <= set(block(trees["other"]))
    assert not set(block(trees["one"])) & set(block(trees["other"]))
    tests["one"].send_signal(signal.SIGTERM)
    tests["one"].wait(300)
    # The lease's own last process may see the end of the others a moment later.
    wait_for(lambda: not any(alive(process.pid) for process in trees["one"]), tests["other"])
    (project / "other-may-end").touch()
    assert tests["other"].wait(300) == 0
    wait_for(lambda: not any(alive(process.pid) for process in trees["other"]))


def test_a_cluster_ends_with_its_job_outside_a_lease_too(
    project: Path, alive: Callable[[int], bool], start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    test = start(sys.executable, "test_it.py", NAME="it")
    wait_for((project / "it-runs").exists, test)
    processes = tree(test)
    directories = [word for p in processes for word in p.cmdline() if word.startswith("/tmp/ray-")]
    assert directories
    assert any("raylet" in process.name() for process in processes)
    test.terminate()
    assert test.wait(300) == 128 + signal.SIGTERM
    assert [process.pid for process in processes if alive(process.pid)] == []
    assert [directory for directory in directories if Path(directory).exists()] == []


def test_a_head_that_cannot_start_is_the_machines_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "TRIES", 1)
    with socket.socket() as stranger:
        stranger.bind(("", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        monkeypatch.setenv("TRAINCI_PORT_BASE", str(port - 1))
        monkeypatch.setenv("TRAINCI_PORT_COUNT", "100")
        with pytest.raises(MachineError, match="ray: no head started in 1 tries; what the last one said"):
            execute_train("train.py", [], num_gpus_per_node=1, launcher="ray")


@pytest.mark.parametrize(
    ("nodes", "count", "why"),
    [
        ("", 10, "needs 22 ports, and the lease has 10 there"),
        ("node-0,node-1", 40, "needs 22 ports on each of 2 virtual nodes, and the lease has 20 there"),
    ],
)
def test_too_few_ports_are_refused(monkeypatch: pytest.MonkeyPatch, nodes: str, count: int, why: str) -> None:
    monkeypatch.setenv("TRAINCI_NODES", nodes)
    monkeypatch.setenv("TRAINCI_PORT_BASE", "20000")
    monkeypatch.setenv("TRAINCI_PORT_COUNT", str(count))
    before = set(Path("/tmp").glob("ray-*"))
    with pytest.raises(UsageError, match=why):
        execute_train("train.py", [], num_gpus_per_node=1, launcher="ray")
    assert set(Path("/tmp").glob("ray-*")) <= before


def test_without_ray_the_way_to_it_is_said(tmp_path: Path) -> None:
    program = "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p] + [sys.argv[1]]\n"
    program += "from trainci.testing import execute_train\n"
    program += "execute_train('train.py', [], num_gpus_per_node=1, launcher='ray')"
    source = Path(ray_cluster.__file__).parents[2]
    done = subprocess.run([sys.executable, "-S", "-c", program, source], capture_output=True, text=True)
    assert "UsageError: execute_train: ray is missing: pip install 'trainci[ray]'" in done.stderr
