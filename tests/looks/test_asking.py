"""A job's folder of answers is hostile: no link is followed, nothing blocks, nothing large is read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import wait_until

from trainci import probe
from trainci.host.files import read_text
from trainci.host.processes import Process, process
from trainci.looks import asking as room
from trainci.looks.asking import Asking
from trainci.looks.taking import Glances, look

IGNORES = (
    "import signal, time; signal.signal({number}, lambda *_: None); print('ready', flush=True); time.sleep(99)"
)


@pytest.fixture
def own() -> Process:
    found = process(os.getpid())
    assert found is not None
    return found


def _link(path: Path) -> None:
    (path.parent / "target").write_text("secret")
    path.symlink_to(path.parent / "target")


def _hard_link(path: Path) -> None:
    (path.parent / "target").write_text("secret")
    path.hardlink_to(path.parent / "target")


@pytest.mark.parametrize("make", [_link, _hard_link, os.mkfifo, Path.mkdir, lambda path: None])
@pytest.mark.parametrize("kind", ["stacks", "groups", "ask", "thread"])
def test_what_is_no_answer_is_left_alone(
    tmp_path: Path, own: Process, make: Callable[[Path], None], kind: str
) -> None:
    make(tmp_path / f"{own.pid}.{kind}")
    asking = Asking(tmp_path)
    begun = time.monotonic()
    assert asking.stacks([own], 0.2) == {}
    assert {*asking.groups([own], 0.2).values()} <= {b""}
    assert asking._read(f"{own.pid}.{kind}") == b""
    assert time.monotonic() - begun < 50
    asking.close()
    if (tmp_path / "target").exists():
        assert (tmp_path / "target").read_text() == "secret"


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with pytest.raises(OSError):
        Asking(tmp_path / "link")


def test_a_process_with_a_handler_of_its_own_for_the_signal_is_not_asked(tmp_path: Path) -> None:
    code = IGNORES.format(number=probe.SIGNAL)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as started:
        assert started.stdout and started.stdout.readline()
        (tmp_path / f"{started.pid}.stacks").write_text("what it says itself")
        found = process(started.pid)
        assert found is not None
        asking = Asking(tmp_path)
        assert asking.stacks([found], 0.2) == {}
        asking.close()
        started.kill()


def test_an_answer_is_read_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: Process) -> None:
    monkeypatch.setattr(room, "_LARGEST", 1000)
    os.mkfifo(tmp_path / f"{own.pid}.ask")
    reader = os.open(tmp_path / f"{own.pid}.ask", os.O_RDONLY | os.O_NONBLOCK)
    asking = Asking(tmp_path)
    assert asking._ask(own.pid, room._GROUPS)
    (tmp_path / f"{own.pid}.groups").write_bytes(b"x" * 5000)
    assert len(asking._read(f"{own.pid}.groups")) == 1000
    asking.close()
    os.close(reader)


def test_looks_do_not_break_off_what_a_sleeping_process_does_in_c(tmp_path: Path) -> None:
    code = "import ctypes; print('ready', flush=True); print(ctypes.CDLL(None).sleep(2), flush=True)"
    environment = {**os.environ, **probe.variables(tmp_path, "")}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as started:
        assert started.stdout and started.stdout.readline()
        wait_until(lambda: (read_text(f"/proc/{started.pid}/wchan") or "").endswith("nanosleep"), "its sleep")
        glances = Glances(started.pid, tmp_path)
        while started.poll() is None:
            glances.take(time.monotonic())
            time.sleep(0.05)
        assert started.stdout.read() == b"0\n", "the seconds that were left of it"


def test_a_look_at_what_is_gone_is_empty(tmp_path: Path) -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    assert look(done.pid, tmp_path, 1.0).processes == ()
