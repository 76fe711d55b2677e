"""A host of virtual devices in a lock directory of its own, and jobs on it: real processes all."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import alive, children_of, wait_until

# Generous: a test waits for a condition, and only a broken lease waits this long.
PATIENCE_S = 40.0

WITHOUT_WATCHDOG = """
import sys
from trainci.lease import command
from trainci.lease.queue import acquire
acquire._WATCHDOG_S = 1000.0
sys.exit(command.internal_main(sys.argv[1:]))
"""


class Job:
    """One `python -m trainci.lease` with its stream of reports."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._read_end, write_end = os.pipe()
        self.events: list[dict[str, Any]] = []
        self._text = b""
        separator = command.index("--")
        command = [*command[:separator], "--status-fd", str(write_end), *command[separator:]]
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(write_end,),
            start_new_session=True,
        )
        os.close(write_end)

    @property
    def pid(self) -> int:
        return self.process.pid

    def event(self, kind: str, patience: float = PATIENCE_S) -> dict[str, Any]:
        """The first event of a kind, waiting for it."""
        until = time.monotonic() + patience
        while True:
            for event in self.events:
                if event["event"] == kind:
                    return event
            left = until - time.monotonic()
            ready, _, _ = select.select([self._read_end], [], [], max(0.0, left))
            data = os.read(self._read_end, 65536) if ready else b""
            assert data, f"no event {kind!r}; seen: {self.events}; {self._last_words()}"
            self._take(data)

    def has(self, kind: str) -> bool:
        """Has an event of this kind come yet?"""
        while select.select([self._read_end], [], [], 0)[0]:
            data = os.read(self._read_end, 65536)
            if not data:
                break
            self._take(data)
        return any(event["event"] == kind for event in self.events)

    def _take(self, data: bytes) -> None:
        *lines, self._text = (self._text + data).split(b"\n")
        self.events += [json.loads(line) for line in lines]

    def _last_words(self) -> str:
        if self.process.poll() is None:
            return "it still runs"
        assert self.process.stderr is not None
        return f"exit {self.process.returncode}: {self.process.stderr.read()}"

    @property
    def supervisor(self) -> int:
        """The process between the wrapper and the command."""
        command = self.event("started")["pid"]
        return int(Path(f"/proc/{command}/stat").read_text().rpartition(")")[2].split()[1])

    @property
    def prepared_supervisor(self) -> int:
        """That of a waiting job; the wrapper's other child is its candidate for the watcher's place."""
        children = wait_until(lambda: len(found := children_of(self.pid)) == 2 and found, "a supervisor")
        return int(children[0])

    def processes(self) -> tuple[int, int, int]:
        """The wrapper, the supervisor and the command, once it has started."""
        return self.pid, self.supervisor, self.event("started")["pid"]

    def kill(self) -> None:
        """All of them at once, the wrapper first."""
        for pid in self.processes():
            # The others may have ended by its end.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err

    def close_reports(self) -> None:
        """What happens to the reader when an executor is killed."""
        os.close(self._read_end)
        self._read_end = -1

    def dispose(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.communicate(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if self._read_end >= 0:
            os.close(self._read_end)


class Host:
    """Virtual devices and a lock directory."""

    def __init__(self, path: Path, devices: int = 8) -> None:
        self.path = path
        self.devices = devices
        # Without it, only what is event-driven works.
        self.watchdog = True
        self.jobs: list[Job] = []
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRAINCI_", "CUDA_"))}

    def command(self, *arguments: str) -> list[str]:
        """The command line of a lease; the part after ``--`` is the job."""
        return [
            *(sys.executable, "-m", "trainci.lease", "--lock-dir", str(self.path)),
            *("--virtual", str(self.devices), *arguments),
        ]

    def start(self, *arguments: str) -> Job:
        """Start a lease and do not wait for it."""
        command = self.command(*arguments)
        if not self.watchdog:
            command[1:3] = ["-c", WITHOUT_WATCHDOG]
        job = Job(command, self.environment)
        self.jobs.append(job)
        return job

    def holder(self, *flags: str, command: tuple[str, ...] = ("sleep", "1000")) -> Job:
        """A job that holds devices until it is told to end."""
        job = self.start(*flags, "--", *command)
        job.event("started")
        return job

    def waiter(self, *flags: str, command: tuple[str, ...] = ("true",)) -> Job:
        """A job that has to wait."""
        job = self.start(*flags, "--", *command)
        job.event("waiting")
        return job

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A lease from its start to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def tickets(self) -> list[str]:
        """Whatever lies in the queue."""
        return sorted(path.name for path in (self.path / "tickets").iterdir())

    def watcher(self) -> int:
        """The process that is the leading watcher, found by who has locked its file."""
        path = self.path / "queue" / "watcher.lock"

        def owner() -> int:
            inode = path.stat().st_ino if path.exists() else 0
            # On another file system somebody may have locked a file of the same number.
            ours = {child for job in self.jobs for child in children_of(job.pid)}
            for line in Path("/proc/locks").read_text().splitlines():
                fields = line.split()
                if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}") and int(fields[4]) in ours:
                    return int(fields[4])
            return 0

        return int(wait_until(owner, "a watcher"))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path / "locks")
    yield made
    for job in reversed(made.jobs):
        job.dispose()


@pytest.fixture
def until() -> Callable[..., Any]:
    """See ``wait_until``."""
    return wait_until


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    """See ``alive``."""
    return alive
