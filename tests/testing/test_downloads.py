"""download_model and download_dataset against a real server that speaks the Hub's API, and misbehaves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testing import hub as hubs

from trainci.testing.hub_cache import ABANDONED_S

pytestmark = pytest.mark.slow

FILES = {
    "config.json": b'{"hidden_size": 64}\n',
    "model-1.safetensors": os.urandom(3 << 20),
    "model-2.safetensors": os.urandom(3 << 20),
    "data/train.jsonl": b'{"question": "1+1", "answer": "2"}\n',
}
PROGRAM = """
import sys
from trainci.testing import main, download_model, download_dataset

def prepare():
    path = {call}
    print("got", *sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()))

def sleep(seconds):
    print("slept", seconds)

main(prepare, lambda: None)
"""
CALL = "download_model('org/tiny', sleep=sleep)"
GOT = f"got {' '.join(sorted(FILES))}\n"


@pytest.fixture
def hub() -> Iterator[hubs.Hub]:
    with hubs.serve(dict(FILES)) as served:
        yield served


class Home:
    """A cache of its own, and the processes that use it."""

    def __init__(self, path: Path, hub: hubs.Hub) -> None:
        self.cache = path / "hf" / "hub"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRAINCI_"))},
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(path / "hf"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def start(self, call: str = CALL, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-u", "-c", PROGRAM.replace("{call}", call)],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, call: str = CALL, **environment: str) -> tuple[int, str, str]:
        process = self.start(call, **environment)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def blob(self, hub: hubs.Hub, name: str) -> Path:
        return self.cache / "models--org--tiny" / "blobs" / hub.etag(name)


@pytest.fixture
def home(tmp_path: Path, hub: hubs.Hub) -> Home:
    return Home(tmp_path, hub)


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_model_or_dataset_is_downloaded_once_and_then_there(hub: hubs.Hub, home: Home, kind: str) -> None:
    for _ in range(2):
        code, out, err = home.run(f"download_{kind}('org/tiny')")
        assert (code, out) == (0, GOT), err
    assert {hub.requests[f"GET {name}"] for name in FILES} == {1}


def test_however_many_ask_at_once_each_file_is_sent_once(hub: hubs.Hub, home: Home) -> None:
    go = threading.Event()

    def hold(handler: Any) -> bool:
        go.wait(60)
        return False

    hub.faults["GET info"] = [hold]
    askers = [home.start() for _ in range(4)]
    # All but the one that downloads say that they wait; only then does the Hub answer it.
    lines: list[str] = []
    for asker in askers:
        threading.Thread(target=lambda stream=asker.stdout: lines.extend(stream), daemon=True).start()
    deadline = threading.Event()
    while sum("another process is at it" in line for line in list(lines)) < 3:
        assert not deadline.wait(0.02)
    go.set()
    assert [asker.wait(120) for asker in askers] == [0] * 4
    while lines.count(GOT) < 4:
        assert not deadline.wait(0.02)
    # Nor does anybody else ask for a file: the library's own locks only keep its bytes from coming twice.
    assert {hub.requests[f"{method} {name}"] for name in FILES for method in ("HEAD", "GET")} == {1}


def test_rate_limits_and_server_errors_are_waited_out_as_the_hub_asks(hub: hubs.Hub, home: Home) -> None:
    hub.faults["GET info"] = [hubs.status(503), hubs.status(429, Retry_After="7"), hubs.status(500)]
    code, out, err = home.run()
    assert code == 0, err
    # How many of them one try meets is the library's business.
    slept = [float(seconds) for seconds in re.findall(r"slept (.*)", out)]
    assert slept
    assert set(slept) <= {2.0, 4.0, 7.0, 8.0}
    assert 7.0 in slept
    assert hub.faults["GET info"] == []
    assert out.endswith(GOT)


def test_the_window_of_a_rate_limit_is_waited_out_in_words_that_say_so(hub: hubs.Hub, home: Home) -> None:
    hub.faults["GET info"] = [hubs.status(429, RateLimit='"api";r=0;t=240')]
    code, out, err = home.run()
    assert code == 0, err
    assert re.findall(r"slept (.*)", out) == ["240.0"]
    assert "waiting 240 s, until the rate limit is over" in out
    assert out.endswith(GOT)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(100, r"asked again in 240 s, and the test's time limit leaves (100|\d\d) s: "), (-5, "leaves 0 s: ")],
)
def test_a_wait_that_the_tests_limit_does_not_leave_is_not_begun(
    hub: hubs.Hub, home: Home, seconds: int, told: str
) -> None:
    hub.faults["GET info"] = [hubs.status(429, RateLimit='"api";r=0;t=240')]
    code, out, err = home.run(TRAINCI_DEADLINE=str(time.monotonic() + seconds))
    assert (code, out) == (3, "")
    assert re.search(told, err), err
    hub.faults["GET info"] = [hubs.status(429, RateLimit='"api";r=0;t=240')]
    code, out, err = home.run(TRAINCI_DEADLINE=str(time.monotonic() + 1000))
    assert (code, re.findall(r"slept (.*)", out)) == (0, ["240.0"]), err


@pytest.mark.parametrize("request_", ["HEAD config.json", "GET config.json", "GET tree"])
def test_the_librarys_own_waits_are_bounded_too(hub: hubs.Hub, home: Home, request_: str) -> None:
    """It waits by itself for some answers, for as long as they ask."""
    hub.faults[request_] = [hubs.status(429, RateLimit='"resolvers";r=0;t=240')] * 9
    began = time.monotonic()
    code, out, err = home.run(TRAINCI_DEADLINE=str(began + 100))
    assert code == 3 and "asked again in 240 s, and the test's time limit leaves " in err, (code, out, err)
    assert time.monotonic() - began < 90


def test_a_short_wait_of_the_librarys_own_is_waited_out(hub: hubs.Hub, home: Home) -> None:
    hub.faults["GET config.json"] = [hubs.status(429, RateLimit='"resolvers";r=0;t=1')]
    code, out, err = home.run(TRAINCI_DEADLINE=str(time.monotonic() + 100))
    assert code == 0 and out.endswith(GOT), err


def test_without_a_limit_the_longest_wait_is_an_hour(hub: hubs.Hub, home: Home) -> None:
    hub.faults["GET info"] = [hubs.status(429, Retry_After="7200")]
    code, out, err = home.run()
    assert (code, out) == (3, "")
    assert "asked again in 7200 s, and the longest wait is 3600 s: " in err


def test_a_hub_that_stays_down_is_the_machines_fault(hub: hubs.Hub, home: Home) -> None:
    hub.faults["GET info"] = [hubs.status(503)] * 100
    code, out, err = home.run()
    assert code == 3
    assert re.findall(r"slept (.*)", out) == ["2.0", "4.0", "8.0", "16.0", "32.0"]
    assert "MachineError: model org/tiny@main: cannot be downloaded (try 6 of 6)" in err
    assert "503" in err


def test_a_hub_that_is_not_there_is_the_machines_fault(home: Home) -> None:
    code, out, err = home.run(HF_ENDPOINT="http://127.0.0.1:9")
    assert code == 3, err
    assert out.count("slept") == 5
    assert "MachineError: model org/tiny@main: cannot be downloaded" in err


def test_an_answer_that_is_cut_off_is_gone_on_with(hub: hubs.Hub, home: Home) -> None:
    hub.faults["GET model-1.safetensors"] = [hubs.cut_after(2 << 20)]
    code, out, err = home.run()
    assert (code, out.splitlines()[-1]) == (0, GOT.strip()), err
    assert home.blob(hub, "model-1.safetensors").read_bytes() == FILES["model-1.safetensors"]


@pytest.mark.parametrize("name", ["config.json", "model-1.safetensors"])
def test_a_file_that_arrives_damaged_is_noticed_and_fetched_again(hub: hubs.Hub, home: Home, name: str) -> None:
    hub.faults[f"GET {name}"] = [hubs.damaged]
    code, out, err = home.run()
    assert code == 0, err
    assert f"{name}: arrived damaged" in out
    assert home.blob(hub, name).read_bytes() == FILES[name]
    assert hub.requests[f"GET {name}"] == 2


def test_a_file_that_is_damaged_in_the_cache_is_fetched_again(hub: hubs.Hub, home: Home) -> None:
    home.run()
    blob = home.blob(hub, "model-1.safetensors")
    blob.write_bytes(b"\0" * len(FILES["model-1.safetensors"]))
    code, out, err = home.run()
    assert code == 0, err
    assert "model-1.safetensors: arrived damaged" in out
    assert blob.read_bytes() == FILES["model-1.safetensors"]


def test_a_killed_downloader_leaves_the_work_to_the_next_which_goes_on_with_the_file_it_was_at(
    hub: hubs.Hub, home: Home, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    hub.files["model-2.safetensors"] = os.urandom(25 << 20)  # the library writes 10 MiB at a time
    end = threading.Event()
    hub.faults["GET model-2.safetensors"] = [hubs.stall_after(24 << 20, end)]

    def half_done() -> list[Path]:
        return [path for path in home.cache.glob("*/blobs/*.incomplete") if path.stat().st_size == 20 << 20]

    first = home.start()
    wait_for(lambda: half_done() and home.blob(hub, "model-1.safetensors").exists())
    second = home.start()
    assert second.stdout is not None
    assert "another process is at it" in second.stdout.readline()
    first.send_signal(signal.SIGKILL)
    out, err = second.communicate(timeout=120)
    end.set()
    first.communicate()
    assert second.returncode == 0, err
    assert out.endswith(GOT)
    assert home.blob(hub, "model-2.safetensors").read_bytes() == hub.files["model-2.safetensors"]
    assert hub.requests["GET model-1.safetensors"] == 1, "what was whole is not fetched again"
    assert "arrived damaged" not in out, "it never stood under its name"


def test_what_killed_downloads_left_does_not_pile_up(hub: hubs.Hub, home: Home) -> None:
    blobs = home.blob(hub, "config.json").parent
    blobs.mkdir(parents=True)
    abandoned, recent = blobs / "abc.1234.incomplete", blobs / "abc.5678.incomplete"
    for path, age in ((abandoned, ABANDONED_S + 60), (recent, 60)):
        path.write_bytes(b"some of it")
        os.utime(path, (time.time() - age,) * 2)
    code, _, err = home.run()
    assert code == 0, err
    assert not abandoned.exists()
    assert recent.exists(), "somebody may still be fetching it"


@pytest.mark.parametrize(
    "call", ["download_model('org/none', sleep=sleep)", "download_model('a/b/c', sleep=sleep)"]
)
def test_a_wrong_name_is_the_tests_own_fault_and_not_tried_again(home: Home, call: str) -> None:
    code, out, err = home.run(call)
    assert (code, out) == (2, "")
    assert re.search(r"UsageError: model (org/none|a/b/c)@main: ", err)


def test_offline_the_cache_is_enough_and_no_request_is_made(hub: hubs.Hub, home: Home) -> None:
    home.run()
    before = sum(hub.requests.values())
    code, out, err = home.run(HF_HUB_OFFLINE="1")
    assert (code, out) == (0, GOT), err
    assert sum(hub.requests.values()) == before


def test_offline_and_not_in_the_cache_is_the_machines_fault_with_both_ways_out(hub: hubs.Hub, home: Home) -> None:
    code, out, err = home.run(HF_HUB_OFFLINE="1")
    assert (code, out) == (3, "")
    assert "is not in the cache, or not all of it, and HF_HUB_OFFLINE is set. Unset it, or fill the cache" in err
    assert sum(hub.requests.values()) == 0


def test_only_the_wanted_files_are_fetched(hub: hubs.Hub, home: Home) -> None:
    code, out, err = home.run("download_model('org/tiny', allow_patterns=['*.json'])")
    assert (code, out) == (0, "got config.json\n"), err
    assert hub.requests["GET model-1.safetensors"] == 0
