"""A mixture of experts on Megatron: tensor and expert parallel.

USE_ALLTOALL=1 sends tokens to their experts by all-to-all, instead of gathering all of them everywhere;
USE_FP8_ROLLOUT=1 samples with weights that are rounded to float8_e4m3, and corrects by importance weights.
"""

import os

import _shared

from trainci.testing import main

NUM_GPUS = 4
ALLTOALL = os.environ.get("USE_ALLTOALL") == "1"
FP8 = os.environ.get("USE_FP8_ROLLOUT") == "1"


def prepare():
    _shared.prepare("qwen3-moe")


def execute():
    options = ["--tensor-parallel", "2", "--expert-parallel", "4", *_shared.DENSE_REWARD]
    options += ["--moe-dispatcher", "alltoall" if ALLTOALL else "allgather"]
    if FP8:
        options += ["--fp8-rollout", "--use-tis"]
    rows = _shared.train(
        "--backend", "megatron", *options, num_gpus=NUM_GPUS, family="qwen3-moe", num_steps=12, held=2
    )
    # An FP8 weight is off by up to 1/16 of itself, and a token may go to another expert.
    _shared.assert_sound(rows, NUM_GPUS, tolerance=1.0 if FP8 else 1e-4)
    _shared.assert_reward_rises(rows, by=0.1)
    if FP8:
        assert max(row["log_prob_gap"] for row in rows[1:]) > 1e-3, "the rollout's weights were not rounded"
        assert all(0 < row["tis_weight"] <= 2 for row in rows[1:]), "importance weights are not within their bounds"


if __name__ == "__main__":
    main(prepare, execute)
