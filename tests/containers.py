"""The container engine of the slow tests: podman with runc, and an image that comes from no registry.

``python tests/containers.py`` builds the image ahead of the tests. That is the one step that needs the network
(Debian's mirror and a Python package index); afterwards the image is kept, and the tests need none.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support import unavailable

IMAGE = "localhost/ci-test:latest"
# What trainci needs at run time is in the image, as it would be in a project's own; trainci itself is not.
_DEPENDENCIES = tuple(needed for needed in importlib.metadata.requires("trainci") or () if "extra ==" not in needed)
_PACKAGES = "python3,python3-venv,git,ca-certificates,procps"
_ENVIRONMENT = "ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# crun and the default limits do not start where containers are nested; the host's network needs no bridge.
_CONTAINERS_CONF = """\
[engine]
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "host"
"""
_RECIPE = hashlib.sha256(repr((_DEPENDENCIES, _PACKAGES, _ENVIRONMENT)).encode()).hexdigest()[:12]


class Unavailable(Exception):
    """This host cannot run containers; the text says why."""


@dataclass(frozen=True)
class Podman:
    """An engine that has been seen to start a container. ``environment`` is what its commands need."""

    environment: dict[str, str]

    def __call__(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run ``podman ARGUMENTS`` and return what it said, whatever its exit code."""
        return _run(("podman", *arguments), self.environment, timeout)

    @contextlib.contextmanager
    def socket(self) -> Iterator[str]:
        """A Docker-compatible socket for as long as the block runs; yields the value of DOCKER_HOST."""
        # Not below pytest's tmp_path: a socket's path may hold 107 bytes.
        with tempfile.TemporaryDirectory(prefix="podman-") as directory:
            path = Path(directory) / "socket"
            service = subprocess.Popen(
                ["podman", "system", "service", "--time=0", f"unix://{path}"],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                deadline = time.monotonic() + 30
                while not path.exists():
                    if service.poll() is not None or time.monotonic() > deadline:
                        service.kill()
                        raise Unavailable(f"podman's socket did not open: {service.communicate()[1].strip()}")
                    time.sleep(0.02)
                yield f"unix://{path}"
            finally:
                service.terminate()
                service.wait(30)


def require() -> Podman:
    """A working engine with the image. Where there is none: fails in CI, skips elsewhere, saying why."""
    try:
        return start()
    except Unavailable as reason:
        unavailable(f"containers cannot be tested here: {reason}")


def start() -> Podman:
    """A working engine with the image built.

    :raises Unavailable: podman is missing, or does not start a container.
    """
    for tool in ("podman", "runc"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is not installed (apt-get install podman runc debootstrap)")
    podman = Podman({**os.environ, "CONTAINERS_CONF": str(_configuration())})
    with _lock():
        if _recipe(podman) != _RECIPE:
            _build(podman)
    probe = podman("run", "--rm", IMAGE, "true")
    if probe.returncode != 0:
        raise Unavailable(f"podman does not start a container: {_last_line(probe.stderr)}")
    return podman


def _configuration() -> Path:
    path = Path(tempfile.gettempdir()) / f"trainci-tests-{os.getuid()}-containers.conf"
    if not path.exists() or path.read_text() != _CONTAINERS_CONF:
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(_CONTAINERS_CONF)
        temporary.replace(path)
    return path


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / f"trainci-tests-{os.getuid()}-image.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _recipe(podman: Podman) -> str:
    return podman("image", "inspect", "--format", '{{ index .Labels "recipe" }}', IMAGE).stdout.strip()


def _build(podman: Podman) -> None:
    if shutil.which("debootstrap") is None:
        raise Unavailable("debootstrap is not installed (apt-get install podman runc debootstrap)")
    with tempfile.TemporaryDirectory(prefix="ci-test-image-") as directory:
        root = Path(directory) / "rootfs"
        site = root / "opt/venv/lib/python3.11/site-packages"
        archive = Path(directory) / "rootfs.tar"
        steps: list[Sequence[str]] = [
            ("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)),
            ("chroot", str(root), "python3", "-m", "venv", "/opt/venv"),
            (
                *(sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site)),
                *("--python-version", "3.11", "--only-binary=:all:", *_DEPENDENCIES),
            ),
            ("tar", "-C", str(root), "--exclude=./var/cache/apt/archives/*.deb", "-cf", str(archive), "."),
            (
                *("podman", "import", "--change", _ENVIRONMENT, "--change", f"LABEL recipe={_RECIPE}"),
                *(str(archive), IMAGE),
            ),
        ]
        for step in steps:
            done = _run(step, podman.environment, 900)
            if done.returncode != 0:
                raise Unavailable(f"the image cannot be built: {step[0]}: {_last_line(done.stderr or done.stdout)}")


def _run(command: Sequence[str], environment: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def _last_line(text: str) -> str:
    return next(reversed(text.strip().splitlines()), "no message")


if __name__ == "__main__":
    try:
        start()
    except Unavailable as reason:
        sys.exit(f"containers cannot be tested here: {reason}")
    sys.stdout.write(f"{IMAGE} is ready\n")
