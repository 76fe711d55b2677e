"""The Ray of the slow tests: a head of its own on private ports, which ends with all that it started."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from support import processes_with, unavailable, wait_until

from trainci.testing.ray_ports import free_ports

SECOND = "127.0.0.2"
_PROGRAM = "import sys; from ray.scripts.scripts import main; sys.argv[0] = 'ray'; main()"
_CPUS = 32
_TRIES = 3
# A node that is gone is known as such within seconds, and later than a test takes to end for it.
_QUICK = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "16"}


class Cluster:
    """A Ray of one node with 32 CPUs, which are none; ``address`` is that of its dashboard.

    ``environment`` is what its clients need.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._second: subprocess.Popen[bytes] | None = None
        # Ray asks for a token by default in its newer releases; this one's is known to nobody else.
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}

    def start(self) -> None:
        """Start it, until it takes jobs."""
        for _ in range(_TRIES):
            self._process = self._ray_head()
            if wait_until(self._there_or_over, "Ray to take jobs", 180) == "there":
                return
            # Somebody else took one of its ports meanwhile, or the host was too busy for it.
            self._kill_left()
        raise AssertionError((self.directory / "start.out").read_text()[-3000:])

    def _ray_head(self) -> subprocess.Popen[bytes]:
        dashboard, self._gcs, agent, grpc, metrics, client = free_ports(6)
        self.address = f"http://127.0.0.1:{dashboard}"
        return self._ray(
            *("start", "--head", "--block", "--disable-usage-stats", f"--num-cpus={_CPUS}", f"--port={self._gcs}"),
            *("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            *(f"--dashboard-agent-listen-port={agent}", f"--dashboard-agent-grpc-port={grpc}"),
            *(f"--metrics-export-port={metrics}", f"--ray-client-server-port={client}"),
            *(f"--temp-dir={self.directory}", "--object-store-memory=100000000"),
        )

    def _there_or_over(self) -> str:
        if self._process.poll() is not None:
            return "over"
        with contextlib.suppress(urllib.error.URLError, OSError):
            return "there" if self._asked("/api/jobs/") else ""
        return ""

    def start_second(self) -> None:
        """Start a second node with 8 CPUs, unless it is there."""
        for _ in range(_TRIES):
            self._second = self._second or self._ray_second()
            if wait_until(self._second_there_or_over, "Ray to have two nodes", 180) == "there":
                return
            self._second = None
        raise AssertionError((self.directory / "start.out").read_text()[-3000:])

    def _second_there_or_over(self) -> str:
        if self._second is None or self._second.poll() is not None:
            return "over"
        return "there" if self._alive() == 2 else ""

    def _ray_second(self) -> subprocess.Popen[bytes]:
        agent, grpc, metrics = free_ports(3)
        return self._ray(
            *("start", f"--address=127.0.0.1:{self._gcs}", "--block", "--disable-usage-stats", "--num-cpus=8"),
            *(f"--node-ip-address={SECOND}", f"--dashboard-agent-listen-port={agent}"),
            *(f"--dashboard-agent-grpc-port={grpc}", f"--metrics-export-port={metrics}"),
            "--object-store-memory=100000000",
        )

    def kill_second(self) -> None:
        """Kill the raylet of the second node, and wait until Ray knows."""
        assert self._second is not None
        for pid in self._left("/raylet", f"--node_ip_address={SECOND}"):
            os.kill(pid, signal.SIGKILL)
        self._second.wait(60)
        self._second = None
        wait_until(lambda: self._alive() == 1, "Ray to know that a node is gone")

    def _alive(self) -> int:
        said: list[dict[str, dict[str, str]]] = []
        with contextlib.suppress(urllib.error.URLError, OSError):
            said = json.loads(self._asked("/nodes?view=summary"))["data"]["summary"]
        return sum(node["raylet"].get("state") == "ALIVE" for node in said)

    def _ray(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.directory / "start.out").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment, **_QUICK},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _asked(self, path: str) -> bytes:
        asked = urllib.request.Request(f"{self.address}{path}")
        asked.add_header("Authorization", f"Bearer {self.environment['RAY_AUTH_TOKEN']}")
        with urllib.request.urlopen(asked, timeout=5) as said:
            return bytes(said.read())

    def stop(self) -> None:
        """End all of it: it waits for none of its processes."""
        started = [process for process in (self._second, self._process) if process is not None]
        for process in started:
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._kill_left()
        for process in started:
            process.wait()

    def _kill_left(self) -> None:
        for pid in self._left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _left(self, *parts: str) -> list[int]:
        """Its daemons, which name its directory in their command lines; those that name these parts, too."""
        return processes_with(str(self.directory), *parts)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster for as long as the block runs; where Ray is missing it fails in CI, and skips elsewhere."""
    if importlib.util.find_spec("ray") is None:
        unavailable("Ray cannot be tested here: pip install 'ray[default]'")
    # Not below pytest's tmp_path: a socket's path may hold 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    one = Cluster(directory)
    try:
        one.start()
        yield one
    finally:
        one.stop()
        shutil.rmtree(directory, ignore_errors=True)
