"""What the smoke tests share: the assets, the command line, and the questions a broken trainer fails."""

from __future__ import annotations

import itertools
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from trainci.testing import exec_command, execute_train

ASSETS = Path(".cache/qwen2.5-tiny")
NUM_STEPS = 30
Row = dict[str, Any]


def prepare() -> None:
    """Build the model, the tokenizer and the data; nothing is downloaded."""
    exec_command([sys.executable, "-m", "posttrain.assets", str(ASSETS)])


def train(*args: str, num_gpus: int) -> list[Row]:
    """Train and return the rows of the metrics; row 0 is the state before the first step."""
    with tempfile.TemporaryDirectory(prefix="posttrain-") as directory:
        metrics = Path(directory) / "metrics.jsonl"
        command = ["--model-path", f"{ASSETS}/model", "--data-path", f"{ASSETS}/train.jsonl"]
        command += ["--metrics-path", str(metrics), "--num-steps", str(NUM_STEPS), *args]
        execute_train("train.py", command, num_gpus_per_node=num_gpus, env={"OMP_NUM_THREADS": "1"})
        rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == list(range(NUM_STEPS + 1)), "the metrics lack steps"
    return rows


def assert_losses_finite(rows: list[Row]) -> None:
    for row in rows[1:]:
        for name in ("loss", "grad_norm"):
            assert math.isfinite(row[name]), f"{name} is {row[name]} at step {row['step']}"


def assert_weights_move_together(rows: list[Row], num_gpus: int) -> None:
    """Each update changes every rank's shard, and all ranks see the same whole weights."""
    for row in rows:
        assert len(row["weights"]) == num_gpus, f"{len(row['weights'])} ranks trained, not {num_gpus}"
        assert len(set(row["weights"])) == 1, f"ranks differ in their weights after step {row['step']}"
    for before, after in itertools.pairwise(rows):
        if after["grad_norm"] > 0:  # equal rewards in every group teach nothing
            still = [rank for rank in range(num_gpus) if before["shards"][rank] == after["shards"][rank]]
            assert not still, f"step {after['step']} left the weights of ranks {still} unchanged"
    assert rows[0]["weights"] != rows[-1]["weights"], "the whole run left the weights unchanged"


def assert_log_probs_agree(rows: list[Row], tolerance: float) -> None:
    """Rollout and trainer give the sampled tokens the same log-probabilities."""
    for row in rows:
        gap = row["log_prob_gap"]
        assert gap <= tolerance, (
            f"log-probabilities of rollout and training differ by {gap:.2e} at step {row['step']}"
        )


def assert_rollouts_lag(rows: list[Row], updates: int) -> None:
    """Each rollout was sampled by weights that were ``updates`` updates older than those it trained."""
    for row in rows[1:]:
        expected = max(0, row["step"] - 1 - updates)
        version = row["rollout_version"]
        assert version == expected, f"step {row['step']} trained on version {version}, not {expected}"


def assert_reward_rises(rows: list[Row], by: float) -> None:
    first = sum(row["reward"] for row in rows[1:4]) / 3
    last = sum(row["reward"] for row in rows[-5:]) / 5
    assert last >= first + by, f"mean reward went from {first:.3f} to {last:.3f}, not up by {by}"
