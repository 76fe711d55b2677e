"""Who holds which device and who waits, on the page of what goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import served
from support import wait_until

from trainci.answers.gpus import DeviceStatus, Holder, Status, Usage, Waiting
from trainci.errors import UsageError
from trainci.paths import StatePaths
from trainci.serve.app import _rendered
from trainci.serve.views import Source, now

HELD = Holder("1", "train <b>big</b>\u202e", "ann", 7, 7, 1.8e9, None, None)
SEEN = Status(
    (
        DeviceStatus("GPU-a", 0, "H100", "held", HELD, 1.8e9, usage=Usage(1 << 30, 80 << 30, 97)),
        DeviceStatus("GPU-b", 1, "H100", "quarantined", None, 1.8e9, "bob", "fell off the bus"),
    ),
    (Waiting("2", 1, "eval", "cid", 8, 8, "normal", 2, (), 1.8e9, None, None, "train holds GPU 0"),),
)


def test_each_device_is_shown_with_its_holder_or_why_it_is_not_handed_out_and_the_queue(tmp_path: Path) -> None:
    page = _rendered("now", now(Source(StatePaths(tmp_path), {}, lambda: SEEN)))
    assert "<td>ann</td><td>train &lt;b&gt;big&lt;/b&gt;\\u202e</td>" in page
    assert "1.0 GiB" in page and "97 %" in page
    assert "<td>quarantined</td>" in page and "<td>bob</td><td>fell off the bus</td>" in page
    assert "train holds GPU 0" in page and "unknown" in page


def test_a_lock_directory_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    def devices() -> Status:
        raise UsageError("/x: this is no lock directory")

    assert "this is no lock directory" in _rendered("now", now(Source(StatePaths(tmp_path), {}, devices)))


@pytest.mark.slow
def test_a_lease_of_this_host_is_shown_while_it_is_held(state: StatePaths) -> None:
    with served.running(state.root) as server, lease(served.lock_dir(state.root)):
        wait_until(lambda: "a lease for the page" in server.get("/").text, "the holder is shown")


@contextmanager
def lease(lock_dir: str) -> Iterator[None]:
    words = ["--virtual", "1", "--name", "a lease for the page", "--lock-dir", lock_dir, "--", "cat"]
    process = subprocess.Popen([sys.executable, "-m", "trainci", "lease", *words], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        assert process.stdin is not None
        with closing(process.stdin):
            pass
        process.wait(60)
