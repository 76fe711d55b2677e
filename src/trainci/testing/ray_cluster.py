"""A Ray cluster that a test has to itself: on its nodes and the ports of its lease, in a directory of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainci.errors import MachineError
from trainci.testing import ray_node
from trainci.testing.marked import MarkedProcesses
from trainci.testing.nodes import node_count, on_each_node
from trainci.testing.ray_ports import Ports, head_ports

START_S = 180.0
"""How long a head may take to answer, and then the other nodes to join it."""
TRIES = 3
"""How often a cluster is started: Ray itself gives up after 30 s on a host that is busy."""
# What the other nodes have, too, to say that they have ended.
_NODES_GRACE_S = ray_node.GRACE_S + 7.0
_LOOK_AGAIN_S = 0.25
_LAST_BYTES = 4000


@dataclass(frozen=True)
class RayCluster:
    """A cluster that runs: the address that takes its jobs, and the variables of those who may talk to it."""

    address: str
    variables: Mapping[str, str]


@contextlib.contextmanager
def ray_cluster(num_gpus: int, env: Mapping[str, str]) -> Iterator[RayCluster]:
    """A cluster of the test's nodes with ``num_gpus`` GPUs each, or none where no GPU can be seen.

    Its head, on the first node, listens on ports of the lease, or on free ones outside trainci, and answers only
    those who know its token (Ray before 2.52 has none); the user's own token is not read. ``env`` is added to what
    its processes inherit. At the end all of these processes are ended, on every node, and no others.

    :raises MachineError: it does not start.
    :raises UsageError: the lease has too few ports.
    """
    for attempt in range(1, TRIES + 1):
        starting = _Starting(num_gpus, env)
        try:
            if starting.is_there():
                yield RayCluster(starting.dashboard, starting.access)
                return
            said = starting.said()
        finally:
            starting.end()
        print(f"ray: the {starting.what} did not start (try {attempt} of {TRIES})", flush=True)  # noqa: T201
    raise MachineError(f"ray: no {starting.what} started in {TRIES} tries; what the last one said:\n{said}")


class _Starting:
    """A cluster from its beginning to its end; ``what`` is so much of it as we have got to."""

    def __init__(self, num_gpus: int, env: Mapping[str, str]) -> None:
        self._ports = head_ports()
        self._num_gpus = num_gpus
        self._env = env
        self._nodes = node_count()
        self._address = _head_address()
        # Ray puts sockets in it, whose whole path may have 107 bytes (unix(7)). Ray opens its own directory to
        # everybody (0777), so that one lies in this one, which is private.
        self._directory = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self._token = secrets.token_hex(32)
        self._log = self._directory / "start.log"
        self._others: tuple[subprocess.Popen[bytes], MarkedProcesses] | None = None
        self.what = "head"
        self.access = ray_node.write_token(self._directory, self._token)
        self.dashboard = _url("127.0.0.1", self._ports, "--dashboard-port")
        with self._log.open("wb") as log:
            self._head, self._processes = ray_node.start(
                self._where(), num_gpus, self._ports, {**env, **self.access}, log.fileno()
            )

    def _where(self) -> list[str]:
        where = ["--head", "--include-dashboard", "true", "--dashboard-host", "127.0.0.1"]
        where += ["--temp-dir", str(self._directory / "ray")]
        return [*where, "--node-ip-address", self._address] if self._nodes > 1 else where

    def is_there(self) -> bool:
        """Wait until it takes jobs on all of its nodes; False if that will not be."""
        # The dashboard refuses jobs until the agent, which starts them, has come up.
        agent = _url(self._address, self._ports, "--dashboard-agent-listen-port")
        urls = (f"{self.dashboard}/api/jobs/", f"{agent}/api/local_raylet_healthz")
        answers = self._wait(lambda: all(answer(url, self._token) is not None for url in urls))
        if self._nodes == 1 or not answers:
            return answers
        self.what = f"cluster of {self._nodes} nodes"
        self._start_others()
        return self._wait(lambda: self._alive() == self._nodes)

    def _start_others(self) -> None:
        head = f"{self._address}:{self._ports.by_flag['--port']}"
        words = [head, str(self._directory), str(self._num_gpus)]
        processes = MarkedProcesses()
        with self._log.open("ab") as log:
            started = processes.start(
                on_each_node([sys.executable, "-m", "trainci.testing.ray_node", *words]),
                env={**os.environ, **self._env, "RAY_AUTH_TOKEN": self._token},
                output=log.fileno(),
                errors=log.fileno(),
            )
        self._others = started, processes

    def end(self) -> None:
        """End all that it has started, the head and the other nodes at once: a lease leaves few seconds."""
        until = time.monotonic() + ray_node.GRACE_S
        if self._others is not None:
            self._head.terminate()
            self._others[1].end(_NODES_GRACE_S)
        self._processes.end(max(0.0, until - time.monotonic()))
        shutil.rmtree(self._directory, ignore_errors=True)

    def said(self) -> str:
        """The end of what it has printed so far."""
        return self._log.read_bytes()[-_LAST_BYTES:].decode(errors="replace")

    def _wait(self, holds: Callable[[], bool]) -> bool:
        """Whether that comes to hold within START_S, while all that we have started runs."""
        deadline = time.monotonic() + START_S
        while self._runs() and time.monotonic() < deadline:
            if holds():
                return True
            time.sleep(_LOOK_AGAIN_S)
        return False

    def _runs(self) -> bool:
        return self._head.poll() is None and (self._others is None or self._others[0].poll() is None)

    def _alive(self) -> int:
        """How many nodes it has, as its own page of nodes counts them."""
        said = answer(f"{self.dashboard}/nodes?view=summary", self._token)
        try:
            nodes = json.loads(said or b"")["data"]["summary"]
            return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)
        except (ValueError, KeyError, TypeError):
            return 0


def answer(url: str, token: str) -> bytes | None:
    """What a server of the cluster answers; None if it does not, or not to the end."""
    # A proxy has no business on this host.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with contextlib.suppress(OSError, http.client.HTTPException), opener.open(request, timeout=10) as said:
        return bytes(said.read())
    return None


def _url(address: str, ports: Ports, flag: str) -> str:
    return f"http://{address}:{ports.by_flag[flag]}"


def _head_address() -> str:
    """Where the other nodes reach this one; the name that they know it by may be one of this host alone."""
    if node_count() == 1:
        return "127.0.0.1"
    try:
        return ray_node.own_address(os.environ["TRAINCI_NODES"].split(",")[1:])
    except OSError:
        return socket.gethostbyname(os.environ["MASTER_ADDR"])
