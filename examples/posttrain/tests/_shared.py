"""What the smoke tests share: the assets, the command line, and the questions a broken trainer fails."""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from trainci.testing import exec_command, execute_train, record_metric

sys.path.append(str(Path(__file__).parents[1]))  # where the package and the reference are
# Matrices are tiny: on a host of many cores, a thread on each would keep all of them busy waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

NUM_STEPS = 30
BFLOAT16_TOLERANCE = 0.03
BFLOAT16_CLIPPED = 0.02
# A reward that any model meets with from the first step on, and raises within a few.
DENSE_REWARD = ("--custom-rm-path", "posttrain.hooks.digit_share")
# At the policy's rate its values swing round what is earned, and where they stand at the end is chance.
CALM_CRITIC = ("--critic-learning-rate", "3e-4")
RECORDER = (
    "--rollout-data-postprocess-path",
    "tests._recorder.record_data",
    "--custom-megatron-before-train-step-hook-path",
    "tests._recorder.record_step",
)
RANKS = {"OMP_NUM_THREADS": "1", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""Their environment. Torch's own look for a GPU would start CUDA, which no fork of a rank could use then."""
Row = dict[str, Any]


def assets(family: str) -> Path:
    return Path(".cache") / f"{family}-tiny"


def prepare(family: str = "qwen2.5") -> None:
    """Build the model, the tokenizer and the data; nothing is downloaded."""
    exec_command([sys.executable, "-m", "posttrain.task.assets", str(assets(family)), "--family", family])


def train(
    *args: str,
    num_gpus: int,
    family: str = "qwen2.5",
    num_steps: int = NUM_STEPS,
    held: int = 0,
    teacher: Path | None = None,
) -> list[Row]:
    """Train and return the rows of the metrics; row 0 is the state before the first step.

    The first ``held`` steps are held to the reference, see ``_held``; so is what the checkpoint ``teacher`` said.
    """
    held = min(held, num_steps)
    with tempfile.TemporaryDirectory(prefix="posttrain-") as directory:
        metrics, recorded = Path(directory) / "metrics.jsonl", Path(directory) / "recorded"
        recorded.mkdir()
        options = ["--num-steps", str(num_steps), *args]
        if held:
            options += [
                *RECORDER,
                *([] if "--load-rollout" in args else ["--save-rollout", f"{recorded}/rollouts"]),
            ]
        launch("train.py", metrics, *options, num_gpus=num_gpus, family=family, recorded=(recorded, held))
        rows = read(metrics)
        assert [row["step"] for row in rows] == list(range(num_steps + 1)), "the metrics lack steps"
        if held:
            _hold(
                command(metrics, *options, family=family),
                recorded,
                rows,
                ranks=num_gpus,
                steps=held,
                teacher=teacher,
            )
    for row in rows[1:]:
        record_metric("reward", row["reward"], row["step"])
    return rows


def run(script: str, *args: str, num_gpus: int, family: str) -> list[Row]:
    """The rows that a script of the package writes, on a family's model and the task's data."""
    with tempfile.TemporaryDirectory(prefix="posttrain-") as directory:
        metrics = Path(directory) / "metrics.jsonl"
        launch(script, metrics, *args, num_gpus=num_gpus, family=family)
        return read(metrics)


def launch(
    script: str,
    metrics: Path,
    *args: str,
    num_gpus: int,
    family: str = "qwen2.5",
    recorded: tuple[Path, int] = (Path(), 0),
) -> None:
    """Let ``script`` write ``metrics``, and the recorder so many steps into a directory."""
    environment = {**RANKS, "RECORD_DIRECTORY": str(recorded[0]), "RECORD_STEPS": str(recorded[1])}
    options = command(metrics, *args, family=family)
    execute_train(script, options, num_gpus_per_node=num_gpus, env=environment)


def command(metrics: Path, *args: str, family: str) -> list[str]:
    """The command line of a run on a family's model and the task's data."""
    made = assets(family)
    data = ["--model-path", f"{made}/model", "--data-path", f"{made}/train.jsonl"]
    return [*data, "--metrics-path", str(metrics), *args]


def _hold(options: list[str], recorded: Path, rows: list[Row], **run: Any) -> None:
    from _held import assert_held  # transformers takes seconds to import

    assert_held(options, recorded, rows, **run)


def read(metrics: Path) -> list[Row]:
    """The rows of a run."""
    return [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]


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
    """Rollout and trainer give the sampled tokens the same log-probabilities.

    ``tolerance`` is for float32. Two ways to compute in bfloat16, with 8 bits of mantissa, differ by far more, and
    send a token to another expert now and then: there it is the mean gap that is small; 0 means 0 in any type.
    """
    for row in rows:
        name, most = "log_prob_gap", tolerance
        if row["dtype"] == "bfloat16" and tolerance:
            name, most = "mean_log_prob_gap", max(BFLOAT16_TOLERANCE, tolerance / 10)
        assert row[name] <= most, f"{name} of rollout and training is {row[name]:.2e} at step {row['step']}"


def assert_rollouts_lag(rows: list[Row], updates: int) -> None:
    """Each rollout was sampled by weights that were ``updates`` updates older than those it trained."""
    for row in rows[1:]:
        expected = max(0, row["step"] - 1 - updates)
        for name in ("rollout_version", "rollout_version_max"):
            version = row[name]
            assert version == expected, f"step {row['step']} trained on version {version}, not {expected}"


def assert_nothing_clipped(rows: list[Row]) -> None:
    """On the policy that sampled, one update a rollout: the ratio is 1."""
    for row in rows[1:]:
        most = BFLOAT16_CLIPPED if row["dtype"] == "bfloat16" else 0
        assert row["clip_fraction"] <= most, f"{row['clip_fraction']:.1%} of step {row['step']} was clipped"


def assert_reward_rises(rows: list[Row], by: float) -> None:
    first = sum(row["reward"] for row in rows[1:4]) / 3
    last = sum(row["reward"] for row in rows[-5:]) / 5
    assert last >= first + by, f"mean reward went from {first:.3f} to {last:.3f}, not up by {by}"


def assert_sound(rows: list[Row], num_gpus: int, tolerance: float = 1e-4) -> None:
    """What every run must show, whatever it trains."""
    assert_losses_finite(rows)
    assert_weights_move_together(rows, num_gpus)
    assert_log_probs_agree(rows[1:], tolerance)
    assert_rollouts_lag(rows, updates=0)


def assert_critic_learns(rows: list[Row]) -> None:
    """Its weights move at every step, and its values come near what is earned: nothing is discounted."""
    for before, after in itertools.pairwise(rows):
        still = [
            rank for rank, shard in enumerate(before["critic_shards"]) if shard == after["critic_shards"][rank]
        ]
        assert not still, f"step {after['step']} left the critic of ranks {still} unchanged"
    first, last = rows[1]["value_error"], rows[-1]["value_error"]
    assert last < 0.4 * first, f"the critic's mean error went from {first:.3f} to {last:.3f}"
    value = sum(row["value"] for row in rows[-3:]) / 3
    reward = sum(row["reward"] for row in rows[-3:]) / 3
    assert abs(value - reward) < 0.15, f"the critic expects {value:.3f} at the end, and {reward:.3f} is earned"


def assert_experts_replayed(rows: list[Row]) -> None:
    for row in rows[1:]:
        share = row["replayed_share"]
        assert share == 1, f"{share:.1%} of the tokens went where the rollout sent them at step {row['step']}"
