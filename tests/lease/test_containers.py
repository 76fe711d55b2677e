"""One queue for several containers: podman, with this machine's own /usr and Python mounted for an image.

Needs nothing but `apt-get install podman runc`. Where podman cannot start the tests are skipped, but not in CI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import unavailable

import trainci
from trainci.lease.store.directory import open_directory
from trainci.lease.store.ports import BLOCK, FIRST, take_block

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

CONTAINERS_CONF = """
[engine]
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "host"
"""
LOCKS = "/locks"
SOURCE = Path(trainci.__file__).parents[1]


class Containers:
    """Runs leases in containers that share ``locks``."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.locks = folder / "locks"
        self.names: list[str] = []
        (folder / "containers.conf").write_text(CONTAINERS_CONF)
        self.environment = {**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf")}
        for name in ("usr", "proc", "sys", "dev", "tmp", "etc", "run", "var"):
            (self.root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")

    def podman(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["podman", *arguments], env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def command(
        self, *arguments: str, flags: tuple[str, ...] = ("--lock-dir", LOCKS, "--virtual", "8")
    ) -> list[str]:
        """A lease in a new container."""
        return self.python("trainci.lease", *flags, *arguments)

    def python(self, *words: str) -> list[str]:
        """``python -m`` in a new container."""
        name = f"trainci-test-{os.urandom(4).hex()}"
        self.names.append(name)
        mounts = {"/usr", sys.prefix, sys.base_prefix, str(SOURCE)}
        volumes = [part for path in sorted(mounts) for part in ("-v", f"{path}:{path}:ro")]
        return [
            *("podman", "run", "--rm", "--name", name, *volumes, "-v", f"{self.locks}:{LOCKS}"),
            *("-e", f"PYTHONPATH={SOURCE}", "--rootfs", str(self.root), sys.executable, "-m", *words),
        ]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def holder(self) -> subprocess.Popen[str]:
        """A container whose job holds everything."""
        process = self.start("--count", "8", "--", "sh", "-c", "echo holds; sleep 1000")
        assert process.stdout.readline() == "holds\n"
        return process

    def waiter(self) -> subprocess.Popen[str]:
        """A container whose job waits for everything."""
        process = self.start("--count", "8", "--", "echo", "got them")
        assert "waiting for 8 devices" in process.stderr.readline()
        return process


def missing() -> str:
    for program in ("podman", "runc"):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt-get install podman runc)"
    return ""


@pytest.fixture
def containers(tmp_path):
    reason = missing()
    made = None
    if not reason:
        made = Containers(tmp_path)
        made.locks.mkdir()
        made.locks.chmod(0o1777)
        probe = subprocess.run(made.command("--", "true"), env=made.environment, capture_output=True, text=True)
        if probe.returncode:
            reason = f"podman cannot start a container here: {probe.stderr.strip()[-300:]}"
    if reason:
        unavailable(reason)
    yield made
    for name in made.names:
        made.podman("rm", "--force", "--time", "0", name)


def test_exclusive_and_handed_over_across_containers(containers):
    holder = containers.holder()
    waiter = containers.waiter()
    assert waiter.poll() is None
    containers.podman("kill", "--signal", "TERM", containers.names[-2])
    assert waiter.communicate(timeout=60)[0] == "got them\n"
    holder.communicate(timeout=60)


def test_freed_when_the_container_is_killed(containers):
    holder = containers.holder()
    waiter = containers.waiter()
    containers.podman("kill", "--signal", "KILL", containers.names[-2])
    assert waiter.communicate(timeout=60)[0] == "got them\n"
    holder.communicate(timeout=60)


def test_a_host_process_and_a_container_share_the_queue(containers, host):
    host.path = containers.locks
    holder = host.holder("--count", "8")
    waiter = containers.waiter()
    holder.process.terminate()
    assert waiter.communicate(timeout=60)[0] == "got them\n"


def test_a_frozen_container_that_waits_does_not_stall_the_others(containers, host):
    host.path = containers.locks
    holder = host.holder("--count", "8")
    frozen = containers.waiter()
    name = containers.names[-1]
    assert containers.podman("pause", name).returncode == 0
    behind = host.waiter("--count", "8")
    holder.process.terminate()
    assert behind.wait() == 0
    containers.podman("unpause", name)
    assert frozen.communicate(timeout=60)[0] == "got them\n"


def test_no_ports_are_given_twice_under_a_host_network_though_the_lock_directories_differ(containers, tmp_path):
    own = ("--lock-dir", "/dev/shm/own", "--virtual", "1")
    command = containers.command("--", "sh", "-c", "echo $TRAINCI_PORT_BASE; sleep 1000", flags=own)
    process = subprocess.Popen(command, env=containers.environment, stdout=subprocess.PIPE, text=True)
    base = int(process.stdout.readline())
    other, descriptors = take_block(open_directory(str(tmp_path)), (base - FIRST) // BLOCK)
    for descriptor in descriptors:
        os.close(descriptor)
    assert other != base
    containers.podman("kill", "--signal", "KILL", containers.names[-1])
    process.wait(60)


def test_a_container_with_a_private_dev_shm_is_refused(containers):
    done = subprocess.run(
        containers.command("--", "true", flags=("--total-gpus", "8")),
        env=containers.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "this is a container and its lock directory /dev/shm/trainci is its own" in done.stderr


def test_a_container_with_a_directory_of_its_own_is_not_prepared(containers):
    """It would be no other container's, and each could be given the same GPUs."""

    def said(*words: str) -> subprocess.CompletedProcess[str]:
        words = tuple(containers.python("trainci", "host", *words))
        return subprocess.run(words, env=containers.environment, capture_output=True, text=True)

    done = said("setup")
    assert done.returncode == 2
    assert done.stderr.startswith("trainci: this is a container and its lock directory /run/trainci is its own")
    check = said("check").stdout
    assert any(line.startswith("WRONG  lock directory  this is a container") for line in check.splitlines()), check
    meant = said("setup", "--lock-dir", LOCKS)
    assert meant.returncode == 0 and f"the lock directory is {LOCKS}\n" in meant.stdout, meant
