"""What tests of real processes share: waiting for a condition, and looking at processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from socketserver import BaseServer
from typing import Any, NoReturn, TypeVar

import pytest
from hypothesis import settings

# Generous: a test waits for a condition, and only a broken program waits this long.
PATIENCE_S = 60.0
_LOOK_AGAIN_S = 0.01
Served = TypeVar("Served", bound=BaseServer)


def examples(count: int) -> int:
    """``count`` examples of a property, or the part of them that the profile tries: ``few`` tries a tenth."""
    return count * settings.default.max_examples // 100


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE_S) -> Any:
    """Poll a condition of the outside world until it holds; gives what it gave."""
    until = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"waited {patience:g} s for: {what}"
        time.sleep(_LOOK_AGAIN_S)


def remove_tree(path: Path) -> None:
    """Remove a folder in which others still make and remove files."""
    wait_until(lambda: shutil.rmtree(path, ignore_errors=True) or not path.exists(), f"{path} to be gone")


@contextlib.contextmanager
def serving(server: Served) -> Iterator[Served]:
    """``server``, which answers within the block in a thread of its own."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def running(root: Path, words: Sequence[str], environment: Mapping[str, str] = os.environ) -> Iterator[Any]:
    """``trainci`` with these words, in a process of its own that ends with the block."""
    program = "import sys; from trainci.__main__ import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Nobody:
    """Who shows nothing of what tests print: a Show (trainci.executors.base)."""

    def __call__(self, output: object, /) -> None:
        pass

    def has_room(self, wait: float = 0.0) -> bool:
        return True


def unavailable(what: str) -> NoReturn:
    """A part of the proof cannot be had here: the test is skipped, which nobody would see in CI: there it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI must have it")
    pytest.skip(what)


def alive(pid: int) -> bool:
    """Does this process run? A zombie, which nobody has collected, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def processes_with(*parts: str) -> list[int]:
    """The processes of this host, of any container or of none, whose command lines hold all of these."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes()
            if all(os.fsencode(part) in line for part in parts):
                found.append(int(path.parent.name))
    return found


def children_of(pid: int) -> list[int]:
    """In the order in which they were born; none of a process that is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
