"""execute_train: refusals without a start, then real torchrun."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainci.errors import UsageError
from trainci.testing import CommandError, execute_train
from trainci.testing.ray_ports import free_ports


@pytest.fixture(autouse=True)
def outside_trainci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRAINCI_DEVICES", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_arguments_as_one_string_are_refused() -> None:
    with pytest.raises(UsageError, match="args must be a list"):
        execute_train("train.py", "--steps 3", num_gpus_per_node=1)


def test_an_unknown_launcher_is_refused() -> None:
    with pytest.raises(UsageError, match="no launcher 'mpi'; there are: torchrun, ray"):
        execute_train("train.py", [], num_gpus_per_node=1, launcher="mpi")


def test_more_ranks_than_leased_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINCI_DEVICES", "cpu-0,cpu-1")
    with pytest.raises(UsageError, match=r"leased cpu-0,cpu-1\. Raise NUM_GPUS"):
        execute_train("train.py", [], num_gpus_per_node=3)


RANK = """
import json, os, sys
names = ("RANK", "WORLD_SIZE", "MASTER_PORT", "ADDED")
print(json.dumps({"argv": sys.argv[1:], **{name: os.environ.get(name) for name in names}}), flush=True)
"""


@pytest.mark.slow
def test_every_rank_gets_the_arguments_and_the_port_of_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rank.py").write_text(RANK)
    (port,) = free_ports(1)
    monkeypatch.setenv("MASTER_PORT", str(port))
    monkeypatch.setenv("TRAINCI_DEVICES", "cpu-0,cpu-1")
    args = ["--name", "a b", "$(id)", str(tmp_path)]
    printed = execute_train(tmp_path / "rank.py", [*args[:-1], tmp_path], num_gpus_per_node=2, env={"ADDED": "yes"})
    told = [json.loads(line.partition("]:")[2]) for line in printed.splitlines() if line.startswith("[rank")]
    assert sorted(row["RANK"] for row in told) == ["0", "1"]
    expected = {"WORLD_SIZE": "2", "MASTER_PORT": str(port), "ADDED": "yes", "argv": args}
    assert all(row | expected == row for row in told)


@pytest.mark.slow
def test_a_failure_shows_the_rank_that_failed_first(tmp_path: Path) -> None:
    (tmp_path / "rank.py").write_text(
        "import os, sys, time\n"
        "rank = int(os.environ['RANK'])\n"
        "print('here is rank', rank, flush=True)\n"
        "if rank == 1:\n"
        "    raise RuntimeError('the loss is hunter2')\n"
        "time.sleep(1000)\n"
    )
    with pytest.raises(CommandError) as failure:
        execute_train(tmp_path / "rank.py", [], num_gpus_per_node=2, secret=["hunter2"])
    text = str(failure.value)
    assert text.startswith("rank 1 of 2 failed first, with exit code 1: ")
    assert "  here is rank 1\n" in text
    assert "RuntimeError: the loss is ***" in text
    assert "here is rank 0" not in text
    assert "hunter2" not in text
    assert failure.value.code == 1


@pytest.mark.slow
def test_ending_a_test_leaves_no_rank_behind(
    tmp_path: Path, alive: Callable[[int], bool], wait_for: Callable[[Callable[[], object]], None]
) -> None:
    (tmp_path / "rank.py").write_text(
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(f'pid-{os.getpid()}', 'w').close()\n"
        "time.sleep(1000)\n"
    )
    (tmp_path / "test_it.py").write_text(
        "from trainci.testing import execute_train, main, marked\n"
        "marked.GRACE_S = 0.5\n"
        "main(lambda: None, lambda: execute_train('rank.py', [], num_gpus_per_node=2))\n"
    )
    with subprocess.Popen([sys.executable, "test_it.py"], cwd=tmp_path) as test:
        wait_for(lambda: len(list(tmp_path.glob("pid-*"))) == 2)
        test.terminate()
        assert test.wait(60) == 128 + signal.SIGTERM
    ranks = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    assert [pid for pid in ranks if alive(pid)] == []
