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
