"""A Ray cluster of one host that a test has to itself: on the ports of its lease, in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainci.errors import MachineError, UsageError
from trainci.testing.marked import MarkedProcesses

START_S = 180.0
"""How long a head may take to answer."""
TRIES = 3
"""How often a head is started: Ray itself gives up after 30 s on a host that is busy."""
GRACE_S = 3.0
"""How long its processes have to end by themselves; Ray's own servers, waiting for each other, take longer."""
_LOOK_AGAIN_S = 0.25
_LAST_BYTES = 4000
# The first port of a lease is MASTER_PORT, which the training itself uses.
_FLAGS = (
    "--port",
    "--node-manager-port",
    "--object-manager-port",
    "--ray-client-server-port",
    "--dashboard-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--runtime-env-agent-port",
    "--metrics-export-port",
)
_VARIABLES = ("DASHBOARD_METRIC_PORT", "AUTOSCALER_METRIC_PORT")
_FEWEST_WORKER_PORTS = 10


def ray_command(*words: str) -> list[str]:
    """The ``ray`` of the running interpreter."""
    return [sys.executable, "-m", "ray.scripts.scripts", *words]


@dataclass(frozen=True)
class RayCluster:
    """A cluster that runs: the address that takes its jobs, and the variables of those who may talk to it."""

    address: str
    variables: Mapping[str, str]


@contextlib.contextmanager
def ray_cluster(num_gpus: int, env: Mapping[str, str]) -> Iterator[RayCluster]:
    """A head with ``num_gpus`` GPUs, or none where no GPU can be seen.

    It listens on ports of the lease, or on free ones outside trainci, and answers only those who know its token
    (Ray before 2.52 has none); the user's own token is not read. ``env`` is added to what its processes inherit. At
    the end all of these processes are ended, and no others.

    :raises MachineError: it does not start.
    :raises UsageError: the lease has too few ports.
    """
    for attempt in range(1, TRIES + 1):
        flags = _ports()
        # Ray puts sockets in it, whose whole path may have 107 bytes (unix(7)). Ray opens its own directory to
        # everybody (0777), so that one lies in this one, which is private.
        directory = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        token = secrets.token_hex(32)
        access = _access(directory, token)
        processes = MarkedProcesses()
        # The descriptions of Ray's processes would otherwise be written over their environment, and the mark in it.
        marked = {**processes.mark, "SPT_NOENV": "1"}
        log = directory / "head.log"
        head = _start(num_gpus, {**env, **access, **flags.variables, **marked}, flags.words, directory, log)
        try:
            if all(_answers(head, url, token) for url in (f"{flags.dashboard}/api/jobs/", flags.agent_health)):
                yield RayCluster(flags.dashboard, access)
                return
            said = log.read_bytes()[-_LAST_BYTES:].decode(errors="replace")
        finally:
            processes.end(head, GRACE_S)
            shutil.rmtree(directory, ignore_errors=True)
        print(f"ray: the head did not start (try {attempt} of {TRIES})", flush=True)  # noqa: T201
    raise MachineError(f"ray: no head started in {TRIES} tries; what the last one said:\n{said}")


def _access(directory: Path, token: str) -> dict[str, str]:
    """Write ``token`` where only this user can read it; the variables by which Ray finds it, and no other.

    Source: https://docs.ray.io/en/latest/ray-security/token-auth.html
    """
    path = directory / "auth_token"
    path.write_text(token)
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(path),
        # This one comes before the file; empty, it is as if it were not there.
        "RAY_AUTH_TOKEN": "",
        "RAY_ENABLE_K8S_TOKEN_AUTH": "false",
        # Headers for somebody else's cluster, in which another token may stand.
        "RAY_JOB_HEADERS": "{}",
    }


def _start(
    num_gpus: int, env: Mapping[str, str], flags: list[str], directory: Path, log: Path
) -> subprocess.Popen[bytes]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = num_gpus if visible is None or len(list(filter(None, visible.split(",")))) >= num_gpus else 0
    command = ray_command(
        *("start", "--head", "--block", "--disable-usage-stats", "--include-dashboard", "true"),
        *("--dashboard-host", "127.0.0.1", "--temp-dir", str(directory / "ray")),
        *("--num-gpus", str(gpus), "--num-cpus", str(max(os.cpu_count() or 1, num_gpus + 1)), *flags),
    )
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**inherited, **env},
            start_new_session=True,
        )


class _Flags:
    def __init__(self, ports: list[int], workers: list[str]) -> None:
        pairs = zip(_FLAGS, ports, strict=False)
        self.words = [word for flag, port in pairs for word in (flag, str(port))] + workers
        variables = zip(_VARIABLES, ports[len(_FLAGS) :], strict=True)
        self.variables = {name: str(port) for name, port in variables}
        by_flag = dict(zip(_FLAGS, ports, strict=False))
        self.dashboard = f"http://127.0.0.1:{by_flag['--dashboard-port']}"
        # The dashboard refuses jobs until the agent, which starts them, has come up.
        self.agent_health = f"http://127.0.0.1:{by_flag['--dashboard-agent-listen-port']}/api/local_raylet_healthz"


def _ports() -> _Flags:
    needed = len(_FLAGS) + len(_VARIABLES)
    base, count = (int(os.environ.get(f"TRAINCI_PORT_{what}") or 0) for what in ("BASE", "COUNT"))
    if base:
        if count < 1 + needed + _FEWEST_WORKER_PORTS:
            raise UsageError(f"ray: needs {1 + needed + _FEWEST_WORKER_PORTS} ports, and the lease has {count}")
        first = base + 1 + needed
        ports = list(range(base + 1, first))
        workers = ["--min-worker-port", str(first), "--max-worker-port", str(base + count - 1)]
    else:
        ports, workers = free_ports(needed), []
    return _Flags(ports, workers)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    # All at once, or the same one would be given out again.
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _answers(head: subprocess.Popen[bytes], url: str, token: str) -> bool:
    """Wait until a server of the head answers; False if the head ended before, or START_S have passed."""
    # A proxy has no business on this host.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + START_S
    while head.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, OSError), opener.open(request, timeout=10):
            return True
        time.sleep(_LOOK_AGAIN_S)
    return False
