"""A repository with a past, and `trainci serve` over it in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from browser.runs import made

from trainci.history import open_store
from trainci.history.event_log import EventLog
from trainci.history.recorder import Recorder
from trainci.model import events
from trainci.paths import RunPaths, StatePaths

TESTS = ("tests/test_a.py", "tests/test_b.py", "tests/test_c.py")
CONFIG = '[suites.short]\ntests = ["tests/test_a.py", "tests/test_b.py"]\n'


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Server:
    """A server that answers; ``address`` is what it printed."""

    address: str
    pid: int
    errors: Path

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)/", self.address)[0])

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        with closing(connection):
            connection.request(
                method, path, headers={name.replace("_", "-"): text for name, text in headers.items()}
            )
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def stream(self, path: str) -> Stream:
        """What is told of ``path`` as it happens."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        return Stream(connection, connection.getresponse())

    def said(self) -> str:
        """What it wrote of errors."""
        return self.errors.read_text()


class Stream:
    """Server-sent events, as they come."""

    def __init__(self, connection: HTTPConnection, answer: HTTPResponse) -> None:
        self._connection = connection
        self._answer = answer
        self.headers = {name.lower(): value for name, value in answer.getheaders()}

    def event(self) -> str:
        """The next one, empty where there is no more."""
        lines: list[str] = []
        while line := self._answer.readline().decode():
            if line.startswith("data: "):
                lines.append(line.removeprefix("data: ").rstrip("\n"))
            elif lines and line == "\n":
                break
        return "\n".join(lines)

    def close(self) -> None:
        """Listen no more."""
        self._answer.close()
        self._connection.close()


def repository(root: Path) -> StatePaths:
    """A repository whose suite has two of TESTS."""
    (root / "tests").mkdir(parents=True)
    for test in TESTS:
        (root / test).write_text('NUM_GPUS = 1\nif __name__ == "__main__":\n    assert NUM_GPUS\n')
    (root / "trainci.toml").write_text(CONFIG)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return StatePaths(root)


def add_run(
    state: StatePaths, run_id: str, names: Sequence[str] = TESTS, commit: str = "0123456789abcdef", at: float = 0.0
) -> list[events.Control]:
    """A run of ``names``, the first of them red, with its files; ``at`` is seconds after the first run."""
    folder = RunPaths(state, run_id).directory
    folder.mkdir(parents=True)
    place = folder.relative_to(state.root)
    told = [_moved(event, run_id, commit, place, at) for event in made(folder, len(names), 2, names)]
    log = EventLog(RunPaths(state, run_id), print)
    with closing(open_store(state)) as store:
        recorder = Recorder(store, state, run_id)
        for event in told:
            log(event)
            recorder(event)
    log.close()
    return told


def _moved(event: events.Control, run_id: str, commit: str, folder: Path, later: float) -> events.Control:
    event = replace(event, at=event.at + later)
    if isinstance(event, events.RunStarted):
        return replace(event, run_id=run_id, commit=commit)
    return replace(event, log=str(folder / event.log)) if isinstance(event, events.Queued) else event


def lock_dir(root: Path) -> str:
    """The lock directory of the server of the repository at ``root``."""
    return str(root.parent / f"{root.name}-locks")


@contextmanager
def running(root: Path, *options: str, **environment: str) -> Iterator[Server]:
    """The server of the repository at ``root``, on a free port."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("TRAINCI_")}
    words = [sys.executable, "-m", "trainci", "serve", "--port", "0", *options]
    errors = root.parent / f"{root.name}-errors"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            words,
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**surroundings, "TRAINCI_LOCK_DIR": lock_dir(root), **environment},
        )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, f"it ended with {process.wait()}: {errors.read_text()}"
        yield Server(address, process.pid, errors)
    finally:
        process.terminate()
        process.wait(60)
