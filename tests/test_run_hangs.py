"""`trainci run` of tests that hang: who and where is named in the verdict, the log and every report."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from junitparser import JUnitXml
from support import alive, wait_until

pytestmark = pytest.mark.slow

TRAINCI = str(Path(sys.executable).with_name("trainci"))
PATIENCE = 180.0
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
DATA = """
import time


def load_batch():
    time.sleep(3600)
"""
SKIPS = """
import os, pathlib, sys, tempfile
NUM_GPUS = 0


def worker(rank, store):
    import torch
    import torch.distributed as dist
    from data import load_batch

    pathlib.Path(f"pid{rank}").write_text(str(os.getpid()))
    dist.init_process_group("gloo", rank=rank, world_size=2, init_method=f"file://{store}")
    gradient = torch.ones(4)
    for step in range(2):
        dist.all_reduce(gradient)
    if rank == 1:
        load_batch()
    dist.all_reduce(gradient)


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, (tempfile.mktemp(),), nprocs=2)
"""


def run(root: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [TRAINCI, *arguments], cwd=root, capture_output=True, text=True, timeout=PATIENCE, env=environment(root)
    )
    return done.returncode, done.stdout + done.stderr


def environment(root: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(root), "TRAINCI_LOCK_DIR": str(root.parent / "locks")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    (root / "trainci.toml").write_text('[project]\ntests = ["test_*.py"]\nstall_minutes = 0.08\n')
    return root


@needs_torch
def test_the_rank_that_skips_a_collective_is_named_with_its_place_everywhere(root: Path) -> None:
    (root / "data.py").write_text(DATA)
    (root / "test_skips.py").write_text(SKIPS)
    code, output = run(root, "run", "test_skips.py", "--devices", "cpu:2", "--junit", "junit.xml")
    assert code == 1, output
    where = (
        r"rank 1 of 2 never reached all_reduce #3; it is in `load_batch` \(data\.py:6\); rank 0 waits for it since"
    )
    assert re.search(rf"^hung +test_skips\.py: {where} \d+ s$", output, re.MULTILINE), output
    (log,) = root.glob(".trainci/runs/*/*.log")
    assert re.search(rf"^trainci: hung: {where}", log.read_text(), re.MULTILINE)
    assert "load_batch (" in log.read_text(), "the whole look is in the log"
    (case,) = next(iter(JUnitXml.fromfile(str(root / "junit.xml"))))
    assert case.result[0].type == "hung"
    assert re.search(where, case.result[0].message)
    code, said = run(root, "explain", str(log))
    assert "hung" in said.splitlines()[0] and re.search(where, said), said
    for rank in range(2):
        pid = int((root / f"pid{rank}").read_text())
        wait_until(lambda pid=pid: not alive(pid), "every process of the test has ended")


WAITS = """
import sys, threading
NUM_GPUS = 0


def wait_for_batch():
    print("waiting", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    wait_for_batch()
"""


def test_a_test_that_its_time_limit_ends_is_looked_at_before(root: Path) -> None:
    (root / "test_waits.py").write_text(WAITS)
    (root / "trainci.toml").write_text('[project]\ntests = ["test_*.py"]\n')
    code, output = run(root, "run", "test_waits.py", "--timeout", "8", "--devices", "cpu:1")
    assert code == 1, output
    where = r"process \d+ \(.*\) is in `wait_for_batch` \(test_waits\.py:8\), in wait \(threading\.py:\d+\) since"
    assert re.search(
        rf"^timed out +test_waits\.py: ended by its time limit of 8 s; then {where}", output, re.MULTILINE
    )


def test_a_test_that_says_something_new_is_never_hung_and_a_spinner_says_nothing_new(root: Path) -> None:
    loop = "import itertools, sys, time\nNUM_GPUS = 0\nif __name__ == '__main__':\n"
    loop += "    for step in {steps}:\n        {body}\n"
    says = "print(step, flush=True); time.sleep(0.5)"
    turns = "sys.stdout.write('\\r' + '|/-'[step % 3]); sys.stdout.flush(); time.sleep(0.5)"
    (root / "test_says.py").write_text(loop.format(steps="range(25)", body=says))
    (root / "test_turns.py").write_text(loop.format(steps="itertools.count()", body=turns))
    code, output = run(root, "run", "test_says.py", "test_turns.py", "--devices", "cpu:1")
    assert code == 1, output
    assert re.search(r"^hung +test_turns\.py", output, re.MULTILINE), output
    assert re.search(r"1 passed, 1 hung|1 hung, 1 passed", output), output


def test_no_look_shows_a_secret(root: Path) -> None:
    (root / "test_waits.py").write_text(WAITS)
    entry = (
        '[suites.s]\nsecrets = ["TOKEN"]\ntests = [{ path = "test_waits.py", args = ["--token=hunter2hunter2"] }]\n'
    )
    (root / "trainci.toml").write_text(f"[project]\nstall_minutes = 0.08\n{entry}")
    done = subprocess.run(
        [TRAINCI, "run", "s", "--devices", "cpu:1"],
        cwd=root, capture_output=True, text=True, timeout=PATIENCE,
        env={**environment(root), "TOKEN": "hunter2hunter2"},
    )  # fmt: skip
    assert "--token=***) is in `wait_for_batch`" in done.stdout, done.stdout
    (log,) = root.glob(".trainci/runs/*/*.log")
    assert "trainci: hung: " in log.read_text()
    assert "hunter2" not in log.read_text()


def test_stacks_shows_a_running_test_by_hand(root: Path) -> None:
    (root / "test_waits.py").write_text(WAITS)
    (root / "trainci.toml").write_text('[project]\ntests = ["test_*.py"]\n')
    code, output = run(root, "stacks")
    assert (code, output) == (2, "trainci: no test runs in this repository.\n")
    words = [TRAINCI, "run", "test_waits.py", "--devices", "cpu:1"]
    with subprocess.Popen(words, cwd=root, stdout=subprocess.DEVNULL, env=environment(root)) as started:
        wait_until(lambda: "wait_for_batch (" in run(root, "stacks")[1], "its stack")
        code, output = run(root, "stacks", "test_waits.py")
        assert code == 0
        assert output.startswith("test_waits.py, attempt 1: process ")
        code, output = run(root, "stacks", "test_other.py")
        assert (code, output) == (2, "trainci: test_other.py does not run; what runs is test_waits.py here.\n")
        started.terminate()
    assert run(root, "stacks")[0] == 2
